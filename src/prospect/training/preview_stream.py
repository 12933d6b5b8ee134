"""What a stream teaches over time: its events, the state around every update, and the label of every decision point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby, takewhile
from typing import Any

from prospect.conversation.dst import State, applied
from prospect.conversation.sample import Frames, Sample
from prospect.conversation.segments import Decision, encode
from prospect.models.vlm import VLM
from prospect.training.collate import Item, collator
from prospect.training.thumbnails import evenly, thumbnails

STRIP = 16  # thumbnails over the whole time
WITHIN = 6  # thumbnails of one span of frames, beside its last one
EDGE = 64  # pixels

SILENT, NOT_SAMPLED, CONTEXT = "silent", "not sampled", "context"


@dataclass(frozen=True)
class Sampling:
    """The share of silent frames whose silence is learnt, and in which epoch it is drawn; None is evaluation."""

    rate: float
    epoch: int | None
    seed: int


@dataclass(frozen=True)
class Event:
    """A turn in its place: the frame that it stands before (what a user says) or behind, and the state around it."""

    place: int
    frame: int
    before: State
    after: State


def watched(vlm: VLM, item: Item, limit: int, sampling: Sampling) -> dict[str, Any]:
    """The view of a stream, beside what every sample's has."""
    sample = item.sample
    spans, events = sample.frames, list(placed(sample))
    points = labels(vlm, item, sampling)
    strip = evenly([frame for frames in spans for frame in range(frames.start, frames.stop)], STRIP)
    kinds = (kind for decision in item.encoded.decisions.values() for kind in decision.kinds)
    images = dict(thumbnails(sample, {*strip, *_worth_seeing(spans, events)}, EDGE))
    return {
        "fps": spans[0].fps,
        "start": spans[0].start,
        "stop": spans[-1].stop,
        "steps": [{"id": step.id, "name": step.name} for step in sample.task.steps] if sample.task else [],
        "places": _places(sample, events),
        "bars": bars(sample, events),
        "points": [{"frame": frame, "label": label} for frame, label in points.items()],
        "strip": [frame for frame in strip if frame in images],
        "images": images,
        "labels": dict(Counter(points.values())),
        "kinds": dict(sorted(Counter(kinds).items())),
        "frame_tokens": vlm.frame_tokens,
        "budget": budget(vlm, item, limit),
        "sampling": {"rate": sampling.rate, "epoch": sampling.epoch, "seed": sampling.seed},
    }


def placed(sample: Sample) -> Iterator[Event]:
    """Every turn that is not frames, with its frame and the state before and after it."""
    state: State = sample.task.state if sample.task else {}
    starts = [(place, turn.frames.start) for place, turn in enumerate(sample.turns) if turn.role == "frames"]
    behind = sample.frames[0].start
    for place, turn in enumerate(sample.turns):
        if turn.role == "frames":
            behind = turn.frames.stop - 1
            continue
        ahead = next((start for later, start in starts if later > place), behind + 1)
        after = applied(state, turn.transitions) if sample.task else state
        yield Event(place, ahead if turn.role in ("system", "user") else behind, state, after)
        state = after


def labels(vlm: VLM, item: Item, sampling: Sampling) -> dict[int, str]:
    """What is learnt at each frame, by its number: speak, dst, both, silence, or nothing."""
    kept = set(collator(vlm, neg_frame_sampling_rate=sampling.rate, seed=sampling.seed).kept(item).tolist())
    decisions = enumerate(item.encoded.decisions.values())
    found = {}
    for turn in item.sample.turns:
        if turn.role == "frames":
            for frame in range(turn.frames.start, turn.frames.stop):
                found[frame] = _label(*next(decisions), kept) if turn.learn else CONTEXT
    return found


def _label(number: int, decision: Decision, kept: set[int]) -> str:
    if number not in kept:
        return NOT_SAMPLED
    taken = [name for name, taken in (("speak", decision.speak), ("dst", decision.dst)) if taken]
    return " + ".join(taken) or SILENT


def bars(sample: Sample, events: list[Event]) -> list[dict[str, Any]]:
    """For each step its status over time. An update at a frame shows from the next frame on."""
    if sample.task is None:
        return []
    start, stop = sample.frames[0].start, sample.frames[-1].stop
    changes = [event for event in events if sample.turns[event.place].role == "dst"]
    states = [(start, sample.task.state), *((event.frame + 1, event.after) for event in changes)]
    found = []
    for step in sample.task.steps:
        firsts = [next(group) for _, group in groupby(states, key=lambda entry: entry[1][step.id])]
        ends = [*(begin for begin, _ in firsts[1:]), stop]
        spans = [
            {"status": state[step.id], "start": begin, "stop": end}
            for (begin, state), end in zip(firsts, ends, strict=True)
            if end > begin
        ]
        found.append({"step": step.id, "name": step.name, "spans": spans})
    return found


def budget(vlm: VLM, item: Item, limit: int) -> dict[str, int]:
    """Where the tokens of the context go."""
    prompt = tuple(takewhile(lambda turn: turn.role == "system", item.sample.turns))
    told = len(encode(vlm.chat(replace(item.sample, turns=prompt)), vlm.tokenizer))
    frames = vlm.frame_tokens * sum(len(frames) for frames in item.sample.frames)
    channels = Counter(item.encoded.channels)
    spent = {"system prompt": told, "frames": frames, "utterances": channels["speak"], "updates": channels["dst"]}
    rest = len(item.encoded) - sum(spent.values())
    return {**spent, "users, headers, context": rest, "free": max(0, limit - len(item.encoded))}


def _worth_seeing(spans: tuple[Frames, ...], events: list[Event]) -> set[int]:
    """Every eventful frame, and the last one and some of each span."""
    within = (evenly(list(range(frames.start, frames.stop)), WITHIN) for frames in spans)
    ends = (frames.stop - 1 for frames in spans)
    return {event.frame for event in events}.union(ends, *within)


def _places(sample: Sample, events: list[Event]) -> list[dict[str, Any]]:
    """Where each turn lies in time: the stretch of frames, or the frame and the state around the event."""
    found: list[dict[str, Any]] = [
        {"start": turn.frames.start, "stop": turn.frames.stop} if turn.role == "frames" else {} for turn in sample.turns
    ]
    for event in events:
        found[event.place] = {"frame": event.frame, "before": dict(event.before), "after": dict(event.after)}
    return found
