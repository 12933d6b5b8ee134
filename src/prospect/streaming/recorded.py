"""A sample played as a stream: its frames and what the user said, and apart from them what truly happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, takewhile

from prospect.conversation.sample import Frames, Sample
from prospect.errors import UserError
from prospect.streaming.feeding import Frame
from prospect.streaming.stream import Happened, Stream


def recorded(sample: Sample, forced: bool = False) -> Stream:
    """Transitions and utterances are left out, unless they are `forced` to happen as they truly did."""
    if not sample.frames:
        raise UserError(f"sample {sample.id} has no frames, so there is nothing to watch")
    assert all(a.stop == b.start for a, b in pairwise(sample.frames)), "spans of a clip follow one another"
    return Stream(
        system=tuple(takewhile(lambda turn: turn.role == "system", sample.turns)),
        task=sample.task,
        source=Played(sample),
        first=sample.frames[0].start,
        fps=sample.frames[0].fps,
        forced=happened(sample) if forced else None,
        name=f"sample {sample.id}",
    )


def happened(sample: Sample) -> dict[int, Happened]:
    """What truly happens, by frame number."""
    found: dict[int, Happened] = {}
    number = None
    for turn in sample.turns:
        if turn.role == "frames":
            number = turn.frames.stop - 1
        elif turn.role in ("dst", "assistant"):
            if number is None:
                raise UserError(f"sample {sample.id}: something happens before its first frame")
            before = found.get(number, Happened())
            text = turn.text if turn.role == "assistant" else before.text
            found[number] = Happened(before.transitions + turn.transitions, text)
    return found


def asked(sample: Sample) -> list[tuple[int, str]]:
    """What the user says, each with the number of the frame that it stands before."""
    found: list[tuple[int, str]] = []
    waiting: list[str] = []
    for turn in sample.turns:
        if turn.role == "user":
            waiting.append(turn.text)
        elif turn.role == "frames":
            found += [(turn.frames.start, text) for text in waiting]
            waiting = []
    return found


@dataclass(frozen=True)
class Played:
    """Frame by frame, each with what the user said before it; from the beginning every time."""

    sample: Sample

    def __iter__(self) -> Iterator[tuple[Frame, list[str]]]:
        texts: list[str] = []
        for turn in self.sample.turns:
            if turn.role == "user":
                texts.append(turn.text)
            elif turn.role == "frames":
                for frame in _seen(turn.frames):
                    yield frame, texts
                    texts = []


def _seen(frames: Frames) -> Iterator[Frame]:
    if frames.features is None:
        yield from frames.pictures()
    elif frames.blank:
        raise UserError("blanked frames need the frames themselves: features are already made of the true pixels")
    else:
        yield from frames.features.features(frames.start, frames.stop)
