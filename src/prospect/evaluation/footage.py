"""What the clips of a split looked like: frame numbers for all of them, small pictures for the ones worth a look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prospect.conversation.sample import Sample
from prospect.training.thumbnails import evenly, thumbnails

CLIPS, WORST = 12, 6  # how many clips of a split carry pictures; so many of them where most goes wrong
PICTURES, EDGE = 12, 64


def illustrated(
    rows: list[dict[str, Any]], samples: Iterable[Sample], thresholds: Mapping[str, float]
) -> list[dict[str, Any]]:
    """The rows of a split with the numbers of their frames and how many decisions are wrong; some with pictures."""
    by_id = {sample.id: sample for sample in samples}
    told = [row | _told(row, by_id[row["id"]], thresholds) for row in rows]
    for number in worth_a_look([row["wrong"] for row in told]):
        sample = by_id[told[number]["id"]]
        told[number]["thumbnails"] = _pictures(sample, decided_frames(sample))
    return told


def pictured(rows: list[dict[str, Any]], samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Rows of clips watched freely, those worth a look with pictures. A frame's place counts from the first watched."""
    by_id, told = {sample.id: sample for sample in samples}, list(rows)
    for number in worth_a_look([row["wrong"] for row in rows]):
        row = rows[number]
        frames = list(range(row["first"], row["first"] + len(row["p_speak"])))
        told[number] = row | {"thumbnails": _pictures(by_id[row["id"]], frames)}
    return told


def worth_a_look(wrong: list[int]) -> list[int]:
    """The worst ones first, then others evenly."""
    worst = sorted((number for number in range(len(wrong)) if wrong[number]), key=lambda number: -wrong[number])[:WORST]
    rest = [number for number in range(len(wrong)) if number not in worst]
    return worst + evenly(rest, CLIPS - len(worst))


def decided_frames(sample: Sample) -> list[int]:
    """Their numbers, in the order in which predictions are written."""
    learnt = [turn.frames for turn in sample.turns if turn.role == "frames" and turn.learn]
    return [number for frames in learnt for number in range(frames.start, frames.stop)]


def _told(row: Mapping[str, Any], sample: Sample, thresholds: Mapping[str, float]) -> dict[str, Any]:
    wrong = 0
    for decision, threshold in thresholds.items():
        at = set(row[decision]["at"])
        wrong += sum((p > threshold) != (place in at) for place, p in enumerate(row[decision]["p"]))
    return {"fps": sample.frames[0].fps, "numbers": spans(decided_frames(sample)), "wrong": wrong}


def spans(numbers: Iterable[int]) -> list[list[int]]:
    """Ascending numbers as stretches from start to before stop."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number:
            found[-1][1] += 1
        else:
            found.append([number, number + 1])
    return found


def _pictures(sample: Sample, frames: list[int]) -> list[dict[str, Any]]:
    """Each with its place among the frames."""
    found = dict(thumbnails(sample, evenly(frames, PICTURES), EDGE))
    return [{"at": place, "image": found[frame]} for place, frame in enumerate(frames) if frame in found]
