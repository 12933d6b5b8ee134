"""What to part with when a stream outgrows the context. Whole turns and frames go; the system prompt never does.

`length` is the context in tokens; null is as many as the model has positions. None of these reads the reference:
they see what was in the context and what the model itself thought the state to be.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

from prospect.conversation.dst import State
from prospect.errors import UserError
from prospect.streaming.feeding import Answer, Ask
from prospect.streaming.held import Held, Unit

Asking = Generator[Ask, Answer, None]
REQUEST = "What has been done so far?"


class Author(Protocol):
    """What a strategy may have written for it."""

    fps: float
    state: State  # predicted

    def prompt(self, state: State | None = None, note: str = "") -> Unit:
        """The system prompt with another state than that of the beginning, and a note."""

    def reply(self, request: str, limit: int) -> Generator[Ask, Answer, str]:
        """What the model answers when it is asked for something now."""

    def reply_tokens(self, request: str, limit: int) -> int: ...


class Context(Protocol):
    @property
    def length(self) -> int | None: ...

    def reserve(self, author: Author) -> int | None:
        """Tokens that a strategy itself may need; None is to go on until nothing fits any more."""

    def shorten(self, held: Held, room: int, author: Author) -> Asking:
        """Leave at most `room` tokens, if whole turns and frames allow it."""


@dataclass(frozen=True)
class NoDrop:
    """A stream that outgrows the context is an error."""

    length: int | None = None

    def reserve(self, author: Author) -> int | None:
        return None

    def shorten(self, held: Held, room: int, author: Author) -> Asking:
        raise UserError(
            f"the context is full at frame {held.units[-1].number}, with {held.total} tokens; "
            "choose how to go on with context=sliding_window, dst_state or another, or raise context.length"
        )
        yield


@dataclass(frozen=True)
class DropAll:
    """Begin anew with the system prompt as it was."""

    length: int | None = None

    def reserve(self, author: Author) -> int | None:
        return 0

    def shorten(self, held: Held, room: int, author: Author) -> Asking:
        held.keep(held.units[:1])
        yield from ()


@dataclass(frozen=True)
class SlidingWindow:
    """The oldest go, until the share `keep` of the context is left.

    With `refeed` what stays is fed again, which is exact. Without, its keys move up in the cache: at no cost, and right
    in their positions, but what stays has seen what went.
    """

    length: int | None = None
    keep: float = 0.5
    refeed: bool = True

    def __post_init__(self) -> None:
        _check_share("keep", self.keep)

    def reserve(self, author: Author) -> int | None:
        return 0

    def shorten(self, held: Held, room: int, author: Author) -> Asking:
        start = _latest(held, 1, _wanted(self.keep, held, room))
        _part_with(held, 1, start, self.refeed)
        yield from ()


@dataclass(frozen=True)
class DropMiddle:
    """How the stream began stays (the share `first` of what is kept of it), and the latest; what is between goes."""

    length: int | None = None
    keep: float = 0.5
    first: float = 0.3
    refeed: bool = True

    def __post_init__(self) -> None:
        _check_share("keep", self.keep)
        _check_share("first", self.first)

    def reserve(self, author: Author) -> int | None:
        return 0

    def shorten(self, held: Held, room: int, author: Author) -> Asking:
        wanted = _wanted(self.keep, held, room)
        head, stop, most = 0, 1, self.first * (wanted - len(held.units[0].ids))
        for place in range(1, len(held.units)):
            if _opens(held.units[place]):
                stop = place
            head += len(held.units[place].ids)
            if head > most:
                break
        _part_with(held, stop, _latest(held, stop, wanted), self.refeed)
        yield from ()


@dataclass(frozen=True)
class SummarizeAndDrop:
    """The model answers what has been done so far, and begins anew: the system prompt as it was, and that answer."""

    length: int | None = None
    request: str = REQUEST
    tokens: int = 64

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise UserError(f"context.tokens={self.tokens}: an answer needs at least 1")

    def reserve(self, author: Author) -> int | None:
        return author.reply_tokens(self.request, self.tokens)

    def shorten(self, held: Held, room: int, author: Author) -> Asking:
        summary = yield from author.reply(self.request, self.tokens)
        held.keep([author.prompt(note=f"\n{summary}")])


@dataclass(frozen=True)
class DSTState:
    """Begin anew with the predicted state in the system prompt, and the last `seconds` of the stream.

    The state told is that before those seconds, so that what changes in them is told once, as in training. They are
    fewer where they would take more than half of the room that the system prompt leaves.
    """

    length: int | None = None
    seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.seconds < 0:
            raise UserError(f"context.seconds={self.seconds}: cannot be negative")

    def reserve(self, author: Author) -> int | None:
        return 0

    def shorten(self, held: Held, room: int, author: Author) -> Asking:
        units = held.units
        since = units[-1].number - round(self.seconds * author.fps)
        starts = [place for place in range(1, len(units)) if _opens(units[place]) and units[place].number > since]
        for start in starts:
            told = author.prompt(units[start].state)
            if 2 * _tokens(units[start:]) <= room - len(told.ids):
                held.keep([told, *units[start:]])
                return
        held.keep([author.prompt(author.state)])
        yield from ()


def _check_share(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise UserError(f"context.{name}={value}: must be a share, above 0 and up to 1")


def _opens(unit: Unit) -> bool:
    """What may come first behind a gap: transitions and utterances would have lost their frame."""
    return unit.role in ("user", "frames")


def _tokens(units: list[Unit]) -> int:
    return sum(len(unit.ids) for unit in units)


def _wanted(keep: float, held: Held, room: int) -> int:
    return min(room, int(keep * held.total))


def _latest(held: Held, first: int, wanted: int) -> int:
    """Where the longest end of the stream begins that, with all before `first`, has at most so many tokens."""
    left, found = wanted - _tokens(held.units[:first]), len(held.units)
    for place in range(len(held.units) - 1, first - 1, -1):
        left -= len(held.units[place].ids)
        if left < 0:
            break
        if _opens(held.units[place]):
            found = place
    return found


def _part_with(held: Held, start: int, stop: int, refeed: bool) -> None:
    if refeed:
        held.keep(held.units[:start] + held.units[stop:])
    elif start < stop:
        held.drop(start, stop)
