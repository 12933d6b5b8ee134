"""Segments to tokens: the only place where labels are made.

A chat format writes a conversation as segments and says there what is learnt. Nothing is ever searched for
afterwards. `encode` turns segments into ids with one channel a token, and refuses any boundary that a token straddles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

from prospect.errors import UserError

IGNORE = -100  # what transformers' losses skip

Channel = str | None


@dataclass(frozen=True)
class Decision:
    """What is right at a frame: does the assistant speak, does the state change? `kinds`: the events, for rates."""

    speak: bool = False
    dst: bool = False
    kinds: tuple[str, ...] = ()

    @property
    def silent(self) -> bool:
        return not (self.speak or self.dst)


@dataclass(frozen=True)
class Segment:
    """A piece of text. `control` marks special tokens written by the chat format; all else is plain characters.

    A segment of frames has a decision for each of them, None where there is nothing to learn: its tokens are parted
    evenly, and a decision is read at the last token of its part.
    """

    text: str
    channel: Channel = None
    control: bool = False
    decisions: tuple[Decision | None, ...] = ()


@dataclass(frozen=True)
class Encoded:
    """ids and channels of a whole sequence, aligned and unshifted, and the decisions by their position."""

    ids: list[int]
    channels: list[Channel]
    decisions: dict[int, Decision] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def labels(self, *channels: str) -> list[int]:
        """Unshifted labels of the named channels, of every learnt channel when none is named."""
        return [
            token if channel is not None and (not channels or channel in channels) else IGNORE
            for token, channel in zip(self.ids, self.channels, strict=True)
        ]

    def spans(self) -> Iterator[tuple[Channel, int, int]]:
        """(channel, start, stop) of each stretch of equal channel. Learnt turns never touch: a header parts them."""
        start = 0
        for channel, stretch in groupby(self.channels):
            stop = start + sum(1 for _ in stretch)
            yield channel, start, stop
            start = stop


def encode(segments: Iterable[Segment], tokenizer: Any, sample_id: str = "?") -> Encoded:
    """Tokenise segments so that `ids == tokenizer(whole text)` while content holds no control look-alikes."""
    runs = [_run(control, run) for control, run in groupby((s for s in segments if s.text), key=lambda s: s.control)]
    plain = _plain_ids(tokenizer, [text for run in runs for text in run.texts])
    result, start = Encoded([], []), 0
    for run in runs:
        stop = start + len(run.texts)
        _append(run, plain[start:stop], result, tokenizer, sample_id)
        start = stop
    return result


class _Run(NamedTuple):
    """Neighbouring segments of one nature. `texts` are the plain texts to tokenise: each piece, and all as one."""

    pieces: list[Segment]
    texts: list[str]


def _run(control: bool, run: Iterable[Segment]) -> _Run:
    if control:
        return _Run(list(run), [])
    # Neighbours of one channel become one piece, so that the tokenizer sees them as the one text they are.
    pieces = [
        Segment("".join(segment.text for segment in group), channel)
        for channel, group in groupby(run, key=lambda segment: segment.channel)
    ]
    texts = [piece.text for piece in pieces]
    return _Run(pieces, texts if len(texts) == 1 else [*texts, "".join(texts)])


def _append(run: _Run, plain: list[list[int]], result: Encoded, tokenizer: Any, sample_id: str) -> None:
    tokens = plain[: len(run.pieces)] if run.texts else [_control_ids(tokenizer, piece.text) for piece in run.pieces]
    if len(plain) > 1 and plain[-1] != [i for piece_ids in tokens for i in piece_ids]:
        raise _straddling(run.pieces, sample_id)
    for piece, piece_ids in zip(run.pieces, tokens, strict=True):
        if piece.decisions:
            _place(piece.decisions, len(result.ids), len(piece_ids), result.decisions)
        result.ids.extend(piece_ids)
        result.channels.extend([piece.channel] * len(piece_ids))


def _place(decisions: Sequence[Decision | None], start: int, length: int, into: dict[int, Decision]) -> None:
    size, rest = divmod(length, len(decisions))
    assert rest == 0, f"{length} tokens cannot be parted evenly among {len(decisions)} frames"
    for number, decision in enumerate(decisions, 1):
        if decision is not None:
            into[start + number * size - 1] = decision


def _plain_ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Ids of texts as plain characters: `<image>` in content is seven characters, never an image slot."""
    return tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"] if texts else []


@lru_cache(maxsize=4096)
def _control_ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=False)["input_ids"]
    ordinary = [i for i in set(ids) if i not in tokenizer.added_tokens_decoder]
    assert not ordinary, f"control text {text!r} is not made of special tokens alone"
    return tuple(ids)


def _straddling(pieces: list[Segment], sample_id: str) -> UserError:
    ends = ", ".join(f"…{piece.text[-12:]!r}|" for piece in pieces[:-1])
    return UserError(
        f"sample {sample_id}: a token would straddle the end of a segment ({ends}), "
        "so it cannot be told what is learnt; change the text around that boundary"
    )
