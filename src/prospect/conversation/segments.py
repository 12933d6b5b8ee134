"""Segments to tokens: the only place where labels are made.

A chat format writes a conversation as segments and says there what is learnt. Nothing is ever searched for
afterwards. `encode` turns segments into ids with one channel a token, and refuses any boundary that a token straddles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from prospect.errors import UserError

IGNORE = -100  # what transformers' losses skip

Channel = str | None


@dataclass(frozen=True)
class Segment:
    """A piece of text. `control` marks special tokens written by the chat format; all else is plain characters."""

    text: str
    channel: Channel = None
    control: bool = False


@dataclass(frozen=True)
class Encoded:
    """ids and channels of a whole sequence, aligned and unshifted."""

    ids: list[int]
    channels: list[Channel]

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
    ids: list[int] = []
    channels: list[Channel] = []
    for control, run in groupby((s for s in segments if s.text), key=lambda segment: segment.control):
        pieces = _joined(run)
        tokens = [_control_ids(tokenizer, s.text) if control else _plain_ids(tokenizer, s.text) for s in pieces]
        if not control and len(pieces) > 1:
            _assert_no_straddling(tokenizer, pieces, tokens, sample_id)
        for piece, piece_ids in zip(pieces, tokens, strict=True):
            ids.extend(piece_ids)
            channels.extend([piece.channel] * len(piece_ids))
    return Encoded(ids, channels)


def _joined(run: Iterable[Segment]) -> list[Segment]:
    """Neighbours of one channel become one piece, so that the tokenizer sees them as the one text they are."""
    return [
        Segment("".join(segment.text for segment in group), channel)
        for channel, group in groupby(run, key=lambda segment: segment.channel)
    ]


def _plain_ids(tokenizer: Any, text: str) -> list[int]:
    """Ids of text as plain characters: `<image>` in content is seven characters, never an image slot."""
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


@lru_cache(maxsize=4096)
def _control_ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=False)["input_ids"]
    ordinary = [i for i in set(ids) if i not in tokenizer.added_tokens_decoder]
    assert not ordinary, f"control text {text!r} is not made of special tokens alone"
    return tuple(ids)


def _assert_no_straddling(tokenizer: Any, pieces: list[Segment], tokens: list[Any], sample_id: str) -> None:
    whole = "".join(piece.text for piece in pieces)
    if _plain_ids(tokenizer, whole) != [i for piece_ids in tokens for i in piece_ids]:
        ends = ", ".join(f"…{p.text[-12:]!r}|" for p in pieces[:-1])
        raise UserError(
            f"sample {sample_id}: a token would straddle the end of a segment ({ends}), "
            "so it cannot be told what is learnt; change the text around that boundary"
        )
