"""What goes into watching a stream, and what comes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prospect.conversation.dst import State, Transition
from prospect.conversation.sample import Task, Turn
from prospect.errors import UserError
from prospect.streaming.feeding import Frame


@dataclass(frozen=True)
class WatchSettings:
    """`ahead`: frames of a recorded video that go through at once, taken back behind the first event; 1 for a live one.

    `dst_tokens`, `speak_tokens`: a turn that has not ended by then is ended.
    """

    speak_threshold: float = 0.5
    dst_threshold: float = 0.5
    constrained: bool = True
    dst_tokens: int = 64
    speak_tokens: int = 64
    ahead: int = 1

    def __post_init__(self) -> None:
        for name in ("dst_tokens", "speak_tokens", "ahead"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)}: must be at least 1")


@dataclass(frozen=True)
class Happened:
    """What truly happens at a frame."""

    transitions: tuple[Transition, ...] = ()
    text: str | None = None


NOTHING = Happened()


@dataclass(frozen=True)
class Stream:
    """What is told first, and then frames as they come, each with what the user said before it.

    `first` is the number of the first frame. With `forced` that happens, by frame number, and the model is only asked
    what it would have decided.
    """

    system: tuple[Turn, ...]
    task: Task | None
    source: Iterable[tuple[Frame, Sequence[str]]]
    first: int = 0
    fps: float = 2.0
    forced: Mapping[int, Happened] | None = None
    name: str = "the stream"


@dataclass(frozen=True)
class Moment:
    """What the model made of one frame. `update` holds the transitions that took effect, of `written` as it stands.

    `counts`: unparsable (updates), illegal (transitions), barred (updates where none is legal), cut (turns that did
    not end by themselves), shortened (how often the context was, before this frame).
    """

    frame: int
    p_speak: float
    p_dst: float
    update: tuple[Transition, ...] | None
    utterance: str | None
    state: State
    written: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
