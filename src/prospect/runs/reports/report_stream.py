"""What a report shows of streams: decisions with their thresholds, rates by kind of event, sweeps, clips over time.

All of it is read from numbers that a run left: metrics.json, events.json, thresholds.json, and predictions/.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from prospect.runs.reports.curves import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    SPLITS,
    TOP,
    WIDTH,
    Axis,
    Chart,
    Line,
    Point,
    path_of,
    split_of,
    thinned,
)

DECISIONS = ("speak", "dst")
CURVE = ("theta", "precision", "recall", "f1")
RATES = ("precision", "recall", "f1", "ap", "balanced_accuracy", "false_alarms", "threshold")
OVER_CLIPS = ("_low", "_high", "_macro")  # of a rate: the ends of its interval, and its mean
FALSE_ALARM = "false alarm"

X = Axis(0, 1, LEFT, WIDTH - RIGHT, ticks=[0, 0.25, 0.5, 0.75, 1])
Y = Axis(0, 1, HEIGHT - BOTTOM, TOP, ticks=[0, 0.5, 1])

Rows = list[dict[str, Any]]


def parted(predictions: dict[str, Rows], notes: list[str]) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """Answers to questions, and watched clips, by split. What is neither whole is left out, and said."""
    answers: dict[str, Rows] = {}
    watched: dict[str, Rows] = {}
    for split, rows in predictions.items():
        clips = [row for row in rows if any(isinstance(row.get(name), dict) for name in DECISIONS)]
        whole = [row for row in clips if all(_is_whole(row.get(name)) for name in DECISIONS)]
        if len(whole) < len(clips):
            notes.append(f"predictions/{split}.jsonl: {len(clips) - len(whole)} clips are damaged and were left out.")
        if whole:
            watched[split] = whole
        answers[split] = [row for row in rows if row not in clips] if clips else rows
    return answers, watched


def _is_whole(found: Any) -> bool:
    if not isinstance(found, dict) or not isinstance(found.get("at"), list) or not isinstance(found.get("p"), list):
        return False
    p, at = found["p"], found["at"]
    return all(isinstance(value, float | int) and math.isfinite(value) for value in p) and all(
        place in range(len(p)) for place in at
    )


# --- tables -----------------------------------------------------------------------------------------------------------


def decisions(metrics: Mapping[str, Any]) -> Rows:
    """A row for every decision and split that has a threshold."""
    return [
        {
            "decision": name,
            "split": split,
            **{rate: metrics.get(f"{split}/{name}/{rate}") for rate in RATES},
            "over_clips": {rate: _over_clips(f"{split}/{name}/{rate}", metrics) for rate in RATES},
        }
        for name in DECISIONS
        for split in SPLITS
        if f"{split}/{name}/threshold" in metrics
    ]


def _over_clips(key: str, metrics: Mapping[str, Any]) -> list[Any] | None:
    found = [metrics.get(f"{key}{end}") for end in OVER_CLIPS]
    return found if None not in found else None


def events(metrics: Mapping[str, Any], counted: Mapping[str, Any]) -> dict[str, Any] | None:
    """Rates by kind of event for every split, with the counts of the split that events.json is about."""
    rates: dict[tuple[str, str], dict[str, Any]] = {}
    for key, value in metrics.items():
        split, name = split_of(key)
        decision, parts, kind = name.partition("/kind/")
        if parts:
            rates.setdefault((decision, kind.removesuffix("/recall")), {})[split] = value
    counts = {(row["decision"], row["kind"]): row for row in counted.get("events", [])}
    for place, row in counts.items():
        rates.setdefault(place, {}).setdefault(counted.get("split", ""), row["recall"])
    if not rates:
        return None
    order = sorted(rates, key=lambda place: (place[0] != "speak", place[1] == FALSE_ALARM, place[1]))
    rows = [
        {"decision": decision, "kind": kind, "rates": rates[decision, kind], **_counts(counts.get((decision, kind)))}
        for decision, kind in order
    ]
    return {
        "split": counted.get("split"),
        "splits": [s for s in SPLITS if any(s in r["rates"] for r in rows)],
        "rows": rows,
    }


def _counts(row: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"called": row["called"], "of": row["of"]} if row else {"called": None, "of": None}


def is_in_tables(key: str, metrics: Mapping[str, Any]) -> bool:
    """Whether a number of metrics.json stands in one of these tables already."""
    split, name = split_of(key)
    decision, _, rate = name.partition("/")
    rate = next((rate.removesuffix(end) for end in OVER_CLIPS if rate.endswith(end)), rate)
    return "/kind/" in name or (rate in RATES and f"{split}/{decision}/threshold" in metrics)


# --- what other thresholds would give ---------------------------------------------------------------------------------


def sweeps(thresholds: Mapping[str, Any], notes: list[str]) -> list[Chart]:
    """Precision over recall with the average precision, and F1 over the threshold, with the chosen one."""
    drawn = []
    for name, found in (thresholds.get("decisions") or {}).items():
        if not _is_swept(found):
            notes.append(f"thresholds.json: {name} is damaged and was left out.")
            continue
        splits = {split: each for split, each in sorted(found["splits"].items(), reverse=True) if each["events"]}
        theta = found["threshold"]
        recall = [
            _line(s, _precisions(each["curve"]), each["recall"], each["precision"], each["ap"])
            for s, each in splits.items()
        ]
        f1 = [_line(s, _f1_steps(each["curve"]), theta, each["f1"], each["f1"]) for s, each in splits.items()]
        if splits:
            drawn += [
                Chart(f"{name}: precision over recall, AP", recall, X, Y, "recall"),
                Chart(f"{name}: F1 over θ", f1, X, Y, "θ", [(split, theta) for split in splits]),
            ]
    return drawn


def _is_swept(found: Any) -> bool:
    """Files may be cut off, or written by others: only what has all parts is drawn."""
    if (
        not isinstance(found, dict)
        or not _is_share(found.get("threshold"))
        or not isinstance(found.get("splits"), dict)
    ):
        return False
    return all(
        isinstance(each, dict)
        and isinstance(each.get("events"), int)
        and all(_is_share(each.get(rate)) for rate in ("precision", "recall", "f1", "ap"))
        and isinstance(each.get("curve"), dict)
        and all(isinstance(each["curve"].get(name), list) for name in CURVE)
        and len({len(each["curve"][name]) for name in CURVE}) == 1
        and all(_is_share(value) for name in CURVE for value in each["curve"][name])
        for each in found["splits"].values()
    )


def _is_share(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and 0 <= value <= 1


def _precisions(curve: Mapping[str, list[float]]) -> list[Point]:
    """Precision over recall, from no recall on as it is at the highest scores; above them nothing is called."""
    points = list(zip(curve["recall"], curve["precision"], strict=True))[-2::-1]
    return [(0.0, points[0][1]), *points] if points else []


def _f1_steps(curve: Mapping[str, list[float]]) -> list[Point]:
    """F1 when every score above a threshold is called: constant between neighbouring scores."""
    ends = [*curve["theta"][1:], 1.0]
    return [
        point
        for start, stop, f1 in zip(curve["theta"], ends, curve["f1"], strict=True)
        for point in ((start, f1), (stop, f1))
    ]


def _line(split: str, points: list[Point], at: float, value: float, said: float) -> Line:
    """With a dot where the chosen threshold is."""
    kept = thinned(points)
    return Line(split, kept, [], path_of([kept], X, Y), None, [(X(at), Y(value))], said)
