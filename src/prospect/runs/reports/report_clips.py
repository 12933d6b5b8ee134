"""Clips over time: the probability of each decision at every frame, against what was right there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prospect.runs.reports.curves import SPLITS, Axis, nice, path_of, thinned
from prospect.runs.reports.report_answers import is_picture
from prospect.runs.reports.report_stream import DECISIONS, Rows
from prospect.runs.strict_json import as_number

CLIPS = 12
WIDTH, LEFT, RIGHT = 1120, 44, 8
LANE, GAP, TOP = 46, 22, 14  # the height of one decision's curve, the room between them and above them
PICTURE = 56
HALF = 0.5  # the threshold of a run that names none


def clips(metrics: Mapping[str, Any], watched: Mapping[str, Rows]) -> list[dict[str, Any]]:
    """For every split some clips, those with the most wrong decisions first."""
    found = []
    for split, rows in watched.items():
        thresholds = {name: _threshold(metrics, split, name) for name in DECISIONS}
        counted = [(sum(_wrong(row[name], thresholds[name]) for name in DECISIONS), row) for row in rows]
        worst = sorted(counted, key=lambda pair: -pair[0])
        pictured = [pair for pair in worst if pair[1].get("thumbnails")]
        shown = (pictured or worst)[:CLIPS]
        found.append(
            {
                "split": split,
                "total": len(rows),
                "wrong": sum(wrong for wrong, _ in counted),
                "frames": sum(len(row[DECISIONS[0]]["p"]) for row in rows),
                "clips": [_clip(row, wrong, thresholds) for wrong, row in shown],
            }
        )
    return sorted(found, key=lambda group: (*SPLITS, group["split"]).index(group["split"]))


def _threshold(metrics: Mapping[str, Any], split: str, decision: str) -> float:
    chosen = as_number(metrics.get(f"{split}/{decision}/threshold"))
    return HALF if chosen is None else chosen


def _wrong(found: Mapping[str, Any], threshold: float) -> int:
    at = set(found["at"])
    return sum((p > threshold) != (place in at) for place, p in enumerate(found["p"]))


def _clip(row: Mapping[str, Any], wrong: int, thresholds: Mapping[str, float]) -> dict[str, Any]:
    count = max(len(row[name]["p"]) for name in DECISIONS)
    x = Axis(0, max(count, 1), LEFT, WIDTH - RIGHT)
    bottom = TOP + len(DECISIONS) * (LANE + GAP) - GAP
    pictures = [p for p in row.get("thumbnails") or [] if is_picture(p.get("image")) and p.get("at") in range(count)]
    return {
        "id": row.get("id"),
        "wrong": wrong,
        "frames": count,
        "lanes": [
            _lane(name, row, thresholds[name], x, TOP + number * (LANE + GAP)) for number, name in enumerate(DECISIONS)
        ],
        "ticks": _ticks(row, count, x),
        "axis": bottom,
        "pictures": [{"x": x(p["at"] + 0.5) - PICTURE / 2, "image": p["image"]} for p in pictures],
        "height": bottom + 32 + (PICTURE + 4 if pictures else 0),
    }


def _lane(name: str, row: Mapping[str, Any], threshold: float, x: Axis, top: float) -> dict[str, Any]:
    found, y = row[name], Axis(0, 1, top + LANE, top)
    at, p = set(found["at"]), found["p"]
    kinds: dict[int, list[str]] = {}
    for place, kind in row.get("events") or []:
        decision, _, short = str(kind).partition("/")
        if decision == name:
            kinds.setdefault(place, []).append(short)
    return {
        "name": name,
        "top": top,
        "bottom": top + LANE,
        "path": path_of([thinned([(place + 0.5, value) for place, value in enumerate(p)])], x, y) if p else "",
        "threshold": y(min(1, max(0, threshold))),
        "theta": threshold,
        "events": [
            {
                "x": x(place + 0.5),
                "called": p[place] > threshold,
                "told": f"{', '.join(kinds.get(place, [])) or name}, p {p[place]:g}",
                "where": _where(row, place),
            }
            for place in sorted(at)
        ],
        "alarms": [
            {"x": x(place + 0.5), "y": y(value), "told": f"false alarm, p {value:g}", "where": _where(row, place)}
            for place, value in enumerate(p)
            if value > threshold and place not in at
        ],
    }


def _where(row: Mapping[str, Any], place: int) -> str:
    number, fps = _number(row, place), as_number(row.get("fps"))
    return f"frame {number}, {number / fps:.1f} s" if fps else f"frame {number}"


def _number(row: Mapping[str, Any], place: int) -> int:
    """The number of a frame in its video, from its place among those with a decision."""
    for start, stop in row.get("numbers") or [[0, place + 1]]:
        if place < stop - start:
            return int(start + place)
        place -= stop - start
    return place


def _ticks(row: Mapping[str, Any], count: int, x: Axis) -> list[dict[str, Any]]:
    """Round numbers of frames by their place, with their seconds."""
    fps = as_number(row.get("fps"))
    step = max(1, round(nice(0, max(count, 10), 10)[1]))
    return [
        {
            "x": x(place + 0.5),
            "frame": _number(row, place),
            "seconds": f"{_number(row, place) / fps:g} s" if fps else "",
        }
        for place in range(0, count, step)
    ]
