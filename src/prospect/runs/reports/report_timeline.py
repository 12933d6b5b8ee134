"""One clip that was watched freely as plain geometry: utterances, states and probabilities over time, and a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from prospect.runs.reports.curves import Axis, nice, path_of, thinned
from prospect.runs.reports.report_answers import is_picture

WIDTH, LEFT, RIGHT = 1120, 170, 8
PICTURE, TICK, GAP = 52, 11, 8
BAR, STEP = 6, 18  # the height of a state's bar, and of the two bars of a step with the room below
LANE = 34
AFTER = {"start": "in_progress", "complete": "completed"}  # what a step is at after a change that took effect
TOLD = {"start": "start", "complete": "done"}
KINDS = ("asked", "change", "said")  # so they follow one another at one frame
ORDER = ("right", "other", "missed", "redundant")


def timeline(row: Mapping[str, Any]) -> dict[str, Any]:
    """Coordinates of all that is drawn, from the top down, and the list beside it."""
    count = len(row["p_speak"])
    x = Axis(row["first"], row["first"] + count, LEFT, WIDTH - RIGHT)
    pictures = [
        {"x": x(row["first"] + each["at"] + 0.5) - PICTURE / 2, "image": each["image"]}
        for each in row.get("thumbnails") or []
        if isinstance(each, dict) and is_picture(each.get("image")) and each.get("at") in range(count)
    ]
    said = PICTURE + GAP if pictures else 4
    bars = said + 3 * TICK + GAP
    steps, still = _steps(row, x, bars)
    lanes = bars + STEP * len(steps) + (12 if still else 0) + GAP
    axis = lanes + 2 * (LANE + GAP)
    return {
        "id": row["id"],
        "wrong": row["wrong"],
        "frames": count,
        "seconds": _time(row, count),
        "pictures": pictures,
        "said": said,
        "asked": [{"x": x(frame + 0.5), "text": text} for frame, text in row.get("asked") or []],
        "utterances": [_mark(each, x) for each in utterances(row)],
        "steps": steps,
        "still": still,
        "lanes": [
            _lane(name, row[f"p_{name}"], row["settings"][f"{name}_threshold"], x, lanes + place * (LANE + GAP))
            for place, name in enumerate(("speak", "dst"))
        ],
        "axis": axis,
        "ticks": _ticks(row, count, x),
        "height": axis + 18,
        "lines": _lines(row),
    }


# --- what was said ----------------------------------------------------------------------------------------------------


def utterances(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each reference and each prediction once, pairs together, in the order of time.

    `verdict`: right; other, matched in time with other words; missed; redundant.
    """
    found: list[dict[str, Any]] = [
        {"verdict": "right" if correct else "other", "ours": (at, text), "true": (frame, truth)}
        for at, text, frame, truth, _, correct in row["pairs"]
    ]
    found += [{"verdict": "missed", "ours": None, "true": (frame, text)} for frame, text in row["missed"]]
    found += [{"verdict": "redundant", "ours": (frame, text), "true": None} for frame, text in row["redundant"]]
    return sorted(found, key=lambda each: (_when(each), ORDER.index(each["verdict"])))


def changes(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same for changes of steps, of which each happens once: right only at the very frame, else other."""
    names = dict(row["steps"])
    true = {(step, action): frame for frame, step, action in row["happened"]}
    ours = {(step, action): frame for frame, _, made in row["updates"] for step, action in made}
    found = []
    for change in true | ours:
        text = f"{TOLD.get(change[1], change[1])}: {names.get(change[0], change[0])}"
        there = change in true, change in ours
        verdict = {(True, False): "missed", (False, True): "redundant"}.get(there)
        found.append(
            {
                "verdict": verdict or ("right" if true[change] == ours[change] else "other"),
                "true": (true[change], text) if there[0] else None,
                "ours": (ours[change], text) if there[1] else None,
            }
        )
    for frame, written, made in row["updates"]:
        if not made:
            found.append({"verdict": "redundant", "true": None, "ours": (frame, f"{written} (no effect)")})
    return sorted(found, key=_when)


def _when(each: Mapping[str, Any]) -> int:
    frame: int = (each["true"] or each["ours"])[0]
    return frame


def _mark(each: Mapping[str, Any], x: Axis) -> dict[str, Any]:
    return {
        "verdict": each["verdict"],
        "true": each["true"] and {"x": x(each["true"][0] + 0.5), "text": each["true"][1]},
        "ours": each["ours"] and {"x": x(each["ours"][0] + 0.5), "text": each["ours"][1]},
    }


def _lines(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All that was said and all changes with their times; the same needless words again and again stand once."""
    told = [each | {"kind": "said"} for each in utterances(row)] + [each | {"kind": "change"} for each in changes(row)]
    told += [{"kind": "asked", "verdict": "asked", "true": each, "ours": each} for each in row.get("asked") or []]
    found: list[dict[str, Any]] = []
    for each in sorted(told, key=lambda each: (_when(each), KINDS.index(each["kind"]))):
        line = {
            "kind": each["kind"],
            "verdict": each["verdict"],
            "true": each["true"] and each["true"][1],
            "ours": each["ours"] and each["ours"][1],
            "late": _late(row, each),
        }
        if line["verdict"] == "redundant" and found and line.items() <= found[-1].items():
            found[-1]["times"] += 1
        else:
            found.append(line | {"at": _time(row, _when(each)), "times": 1})
    return found


def _late(row: Mapping[str, Any], each: Mapping[str, Any]) -> str:
    if not each["true"] or not each["ours"] or each["true"][0] == each["ours"][0]:
        return ""
    return f"{(each['ours'][0] - each['true'][0]) / row['fps']:+.1f} s".replace("-", "−")


def _time(row: Mapping[str, Any], frame: int) -> str:
    minutes, seconds = divmod(frame / row["fps"], 60)
    return f"{int(minutes)}:{seconds:04.1f}"


# --- what was believed ------------------------------------------------------------------------------------------------


def _steps(row: Mapping[str, Any], x: Axis, top: float) -> tuple[list[dict[str, Any]], int]:
    """The bars of every step that changes, true above predicted, and how many steps stay as they are."""
    names, stop = dict(row["steps"]), row["first"] + len(row["p_speak"])
    true = [(frame, step, action) for frame, step, action in row["happened"]]
    ours = [(frame, step, action) for frame, _, made in row["updates"] for step, action in made]
    moving = {step for _, step, _ in true + ours}
    found: list[dict[str, Any]] = []
    for step, status in row["start"].items():
        if step not in moving:
            continue
        y = top + STEP * len(found)
        both = [stretches(status, _of(step, made), row["first"], stop) for made in (true, ours)]
        found.append(
            {
                "name": names.get(step, step),
                "y": y,
                "bars": [
                    {"y": y + place * (BAR + 1), **_bar(*stretch, x)}
                    for place, each in enumerate(both)
                    for stretch in each
                ],
                "differs": [_bar(*stretch, x) for stretch in differing(*both)],
                "below": y + BAR + 1,
            }
        )
    return found, len(row["start"]) - len(found)


def _of(step: str, made: Iterable[tuple[int, str, str]]) -> list[tuple[int, str]]:
    return [(frame, AFTER.get(action, action)) for frame, name, action in made if name == step]


def stretches(status: str, made: list[tuple[int, str]], first: int, stop: int) -> list[tuple[int, int, str]]:
    """(from, to before, status) of a step; a change holds from its own frame on."""
    known = [(first, status), *made, (stop, "")]
    return [(start, end, now) for (start, now), (end, _) in pairwise(known) if end > start]


def differing(one: list[tuple[int, int, str]], other: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Where two rows of stretches are not the same."""
    return [
        (max(a, c), min(b, d), f"{here}, not {there}")
        for a, b, there in one
        for c, d, here in other
        if there != here and max(a, c) < min(b, d)
    ]


def _bar(start: int, stop: int, status: str, x: Axis) -> dict[str, Any]:
    return {"x": x(start), "width": round(x(stop) - x(start), 1), "status": status}


def _lane(name: str, p: list[float], threshold: float, x: Axis, top: float) -> dict[str, Any]:
    y = Axis(0, 1, top + LANE, top)
    points: list[tuple[float, float]] = [(x.low + place + 0.5, value) for place, value in enumerate(p)]
    return {
        "name": name,
        "top": top,
        "bottom": top + LANE,
        "path": path_of([thinned(points)], x, y),
        "theta": threshold,
        "threshold": y(min(1, max(0, threshold))),
    }


def _ticks(row: Mapping[str, Any], count: int, x: Axis) -> list[dict[str, Any]]:
    """Round seconds of the video."""
    first, seconds = row["first"] / row["fps"], count / row["fps"]
    step = max(1, round(nice(0, max(seconds, 8), 12)[1]))
    at = range(-(-int(first) // step) * step, int(first + seconds) + 1, step)
    return [
        {"x": x(second * row["fps"]), "told": f"{second // 60}:{second % 60:02}"}
        for second in at
        if x.low <= second * row["fps"] <= x.high
    ]
