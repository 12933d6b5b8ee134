"""What is said and what changes, put between the frames of a clip. Words and numbers only: no file is opened here.

A frame is `floor(time · fps)`, in indices of the whole video's store. Nothing is placed earlier than its time:

- what a user says stands before its frame's tokens; if something else happened at that frame before it was said,
  before the next frame's;
- transitions stand right behind their own frame, always, all those of one frame as one turn, and before the utterance;
- an utterance stands behind its frame. Several at one frame are joined by a blank; if a user spoke between them, the
  later one moves on to the frame that follows what the user said. Where no frame follows, it is joined all the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import floor
from typing import Literal

from prospect.conversation.dst import Transition
from prospect.conversation.sample import Frames, Turn

NOISE = 1e-6  # of a frame: a time of k/fps is a rounded number, and the event belongs to frame k exactly


@dataclass(frozen=True)
class Event:
    """A turn of a clip file, with its frame. `place`: its index in the file's conversation."""

    frame: int
    role: Literal["user", "assistant", "dst"]
    text: str = ""
    transitions: tuple[Transition, ...] = ()
    kind: str = ""
    place: int = 0


@dataclass
class Moment:
    """All that stands around one frame's tokens."""

    before: list[Event] = field(default_factory=list)  # what users say
    changes: list[Event] = field(default_factory=list)
    spoken: list[Event] = field(default_factory=list)

    @property
    def eventful(self) -> bool:
        return bool(self.changes or self.spoken)


def frame_at(time: float, fps: float) -> int:
    return floor(time * fps + NOISE)


def moments(events: Iterable[Event], start: int, stop: int) -> tuple[dict[int, Moment], list[Event]]:
    """Moments by frame, and the utterances that a user's words could not part from earlier ones at the last frame.

    What a user says at the very end, after all else, stands at `stop`, behind the last frame.
    """
    found: dict[int, Moment] = defaultdict(Moment)
    crowded: list[Event] = []
    now = start  # the talk never goes back: an answer does not overtake its question
    for event in sorted(events, key=lambda event: event.frame):  # stable: one frame's events keep their order
        assert start <= event.frame < stop, "events outside a clip are found before"
        now = max(now, event.frame)
        if event.role == "dst":
            found[event.frame].changes.append(event)
        elif event.role == "user":
            now += now < stop and found[now].eventful
            found[now].before.append(event)
        elif now < stop:
            found[now].spoken.append(event)
        else:
            crowded.append(event)
            found[stop - 1].before += found.pop(stop, Moment()).before
            found[stop - 1].spoken.append(event)
            now = stop - 1
    return {frame: found[frame] for frame in sorted(found)}, crowded


def turns_between(frames: Frames, placed: dict[int, Moment], decide: bool = True) -> list[Turn]:
    """The conversation: spans of frames that tile the clip, and what stands between them.

    `decide=False` makes the frames mere context: whether to speak there is not learnt.
    """
    turns: list[Turn] = []
    seen = frames.start

    def watch(stop: int) -> None:
        nonlocal seen
        if stop > seen:
            turns.append(Turn("frames", (frames.part(seen, stop),), learn=decide))
            seen = stop

    for frame, moment in placed.items():
        if moment.before:
            watch(frame)
            turns.extend(Turn("user", (event.text,)) for event in moment.before)
        if moment.eventful:
            watch(frame + 1)
            turns.extend(_answered(moment))
    watch(frames.stop)
    return turns


def _answered(moment: Moment) -> Iterable[Turn]:
    if moment.changes:
        yield Turn("dst", tuple(transition for event in moment.changes for transition in event.transitions))
    if moment.spoken:
        kinds = dict.fromkeys(event.kind for event in moment.spoken if event.kind)
        yield Turn("assistant", (" ".join(event.text for event in moment.spoken),), kind="+".join(kinds))
