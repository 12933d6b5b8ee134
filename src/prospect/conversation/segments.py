"""Segments to tokens: the only place where labels are made.

A chat format writes a conversation as segments and says there what is learnt. Nothing is ever searched for
afterwards. `encode` turns segments into ids with one channel a token, and refuses any boundary that a token straddles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from typing import Any

import numpy as np

from prospect.errors import UserError

IGNORE = -100  # what transformers' losses skip
CHANNELS = ("answer", "speak", "dst")  # all that can be learnt
DECISIONS = ("speak", "dst")  # the columns wherever decisions are in an array

Channel = str | None
NAMES: tuple[Channel, ...] = (None, *CHANNELS)
NUMBER: dict[Channel, int] = {name: number for number, name in enumerate(NAMES)}  # as tensors hold them; 0 is nothing


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
    evenly, and a decision is read at the last token of its part. What begins with a segment `apart` is tokenised by
    itself, even where a token of the whole text would straddle its beginning.
    """

    text: str
    channel: Channel = None
    control: bool = False
    decisions: tuple[Decision | None, ...] = ()
    apart: bool = False


class Encoded:
    """ids and channels of a whole sequence, aligned and unshifted, and the decisions by their position.

    Kept as small arrays, five bytes a token, because a whole split is encoded before training begins.
    """

    def __init__(
        self, ids: Sequence[int], channels: Sequence[Channel], decisions: Mapping[int, Decision] | None = None
    ) -> None:
        self.tokens = np.array(ids, np.int32)
        self.numbers = np.array([NUMBER[channel] for channel in channels], np.int8)
        self.decisions = dict(decisions or {})
        assert len(self.tokens) == len(self.numbers), "a channel for every token"

    def __len__(self) -> int:
        return len(self.tokens)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Encoded):
            return NotImplemented
        same = np.array_equal(self.tokens, other.tokens) and np.array_equal(self.numbers, other.numbers)
        return same and self.decisions == other.decisions

    __hash__ = None  # type: ignore[assignment]  # arrays can be written to

    @property
    def ids(self) -> list[int]:
        return self.tokens.tolist()

    def count(self, token: int) -> int:
        return int((self.tokens == token).sum())

    @property
    def channels(self) -> list[Channel]:
        return [NAMES[number] for number in self.numbers]

    @cached_property
    def points(self) -> np.ndarray:
        """The positions of the decisions, in order."""
        return np.fromiter(self.decisions, np.int64, len(self.decisions))

    @cached_property
    def right(self) -> np.ndarray:
        """What is right at each of them, by DECISIONS."""
        pairs = [(decision.speak, decision.dst) for decision in self.decisions.values()]
        return np.array(pairs, bool).reshape(-1, 2)

    def labels(self, *channels: str) -> list[int]:
        """Unshifted labels of the named channels, of every learnt channel when none is named."""
        wanted = [NUMBER[channel] for channel in channels or CHANNELS]
        return np.where(np.isin(self.numbers, wanted), self.tokens, IGNORE).tolist()

    def spans(self) -> Iterator[tuple[Channel, int, int]]:
        """(channel, start, stop) of each stretch of equal channel. Learnt turns never touch: a header parts them."""
        ends = [*(np.flatnonzero(np.diff(self.numbers)) + 1).tolist(), len(self)]
        start = 0
        for stop in ends if len(self) else []:
            yield NAMES[self.numbers[start]], start, stop
            start = stop


def encode(segments: Iterable[Segment], tokenizer: Any, sample_id: str = "?") -> Encoded:
    """Tokenise segments so that `ids == tokenizer(whole text)` while content holds no control look-alikes."""
    runs = list(_runs(segments))
    plain = iter(_plain_ids(tokenizer, ["".join(s.text for s in run) for run in runs if not run[0].control]))
    ids: list[int] = []
    channels: list[Channel] = []
    decisions: dict[int, Decision] = {}
    for run in runs:
        pieces = _controls(tokenizer, run) if run[0].control else _parted(tokenizer, run, next(plain), sample_id)
        for segment, piece in pieces:
            if segment.decisions:
                _place(segment.decisions, len(ids), len(piece), decisions)
            ids.extend(piece)
            channels.extend([segment.channel] * len(piece))
    return Encoded(ids, channels, decisions)


def _runs(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    """Stretches that are tokenised at once: of special tokens, or of plain text up to what stands apart from it."""
    run: list[Segment] = []
    for segment in segments:
        if not (segment.text or segment.apart):
            continue
        if run and (segment.apart or segment.control != run[0].control):
            yield run
            run = []
        run.append(segment)
    if run:
        yield run


Pieces = Iterable[tuple[Segment, Sequence[int]]]


def _controls(tokenizer: Any, run: list[Segment]) -> Pieces:
    return [(segment, _control_ids(tokenizer, segment.text)) for segment in run]


def _parted(tokenizer: Any, run: list[Segment], ids: list[int], sample_id: str) -> Pieces:
    """The ids of a run of plain text, cut where the channel changes. What comes before a cut must be there as it is."""
    text, start = "", 0
    for channel, group in groupby(run, key=lambda segment: segment.channel):
        text += "".join(segment.text for segment in group)
        last = channel == run[-1].channel and len(text) == sum(len(segment.text) for segment in run)
        head = ids if last else _head_ids(tokenizer, text)
        if tuple(ids[start : len(head)]) != tuple(head[start:]):
            raise _straddling(text, sample_id)
        yield Segment(text, channel), ids[start : len(head)]
        start = len(head)


def _place(decisions: Sequence[Decision | None], start: int, length: int, into: dict[int, Decision]) -> None:
    size, rest = divmod(length, len(decisions))
    assert rest == 0, f"{length} tokens cannot be parted evenly among {len(decisions)} frames"
    for number, decision in enumerate(decisions, 1):
        if decision is not None:
            into[start + number * size - 1] = decision


def _plain_ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Ids of texts as plain characters: `<image>` in content is seven characters, never an image slot.

    One by one: turns are short, and the batch call would wake threads for each conversation, in forked workers too.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = True
    ids = [backend.encode(text, add_special_tokens=False).ids for text in texts]
    backend.encode_special_tokens = False
    return ids


@lru_cache(maxsize=4096)
def _head_ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(_plain_ids(tokenizer, [text])[0])


@lru_cache(maxsize=4096)
def _control_ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=False)["input_ids"]
    ordinary = [i for i in set(ids) if i not in tokenizer.added_tokens_decoder]
    assert not ordinary, f"control text {text!r} is not made of special tokens alone"
    return tuple(ids)


def _straddling(text: str, sample_id: str) -> UserError:
    return UserError(
        f"sample {sample_id}: a token would straddle the end of a segment (…{text[-12:]!r}|), "
        "so it cannot be told what is learnt; change the text around that boundary"
    )
