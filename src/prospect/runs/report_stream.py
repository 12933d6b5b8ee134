"""What a report shows of streams: decisions with their thresholds, rates by kind of event, sweeps, clips over time.

All of it is read from numbers that a run left: metrics.json, events.json, and the probabilities in predictions/.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from prospect.runs.curves import (
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
from prospect.runs.strict_json import as_number

DECISIONS = ("speak", "dst")
RATES = ("precision", "recall", "f1", "ap", "balanced_accuracy", "false_alarms", "threshold")
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
        {"decision": name, "split": split, **{rate: metrics.get(f"{split}/{name}/{rate}") for rate in RATES}}
        for name in DECISIONS
        for split in SPLITS
        if f"{split}/{name}/threshold" in metrics
    ]


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
    return "/kind/" in name or (rate in RATES and f"{split}/{decision}/threshold" in metrics)


# --- what other thresholds would give ---------------------------------------------------------------------------------


def sweeps(metrics: Mapping[str, Any], watched: Mapping[str, Rows]) -> list[Chart]:
    """Precision over recall with the average precision, and F1 over the threshold, with the chosen one."""
    drawn = []
    for name in DECISIONS:
        swept = {split: found for split, rows in watched.items() if (found := _swept(rows, name))}
        if not swept:
            continue
        rate = {
            split: {key: as_number(metrics.get(f"{split}/{name}/{key}")) for key in RATES} for split in reversed(swept)
        }
        recall = [
            _line(split, _precisions(swept[split]), *found, rate[split]["ap"])
            for split in rate
            for found in [(rate[split]["recall"], rate[split]["precision"])]
        ]
        f1 = [
            _line(split, _f1_steps(swept[split]), rate[split]["threshold"], rate[split]["f1"], rate[split]["f1"])
            for split in rate
        ]
        marks = [(split, at) for split in rate if (at := rate[split]["threshold"]) is not None]
        drawn += [
            Chart(f"{name}: precision over recall, AP", recall, X, Y, "recall"),
            Chart(f"{name}: F1 over θ", f1, X, Y, "θ", marks),
        ]
    return drawn


def _swept(rows: Rows, decision: str) -> list[tuple[float, int, int, int]]:
    """(least score called, right calls, calls, events) at each threshold that parts the scores; without events none."""
    scored: list[tuple[float, bool]] = []
    for row in rows:
        at = set(row[decision]["at"])
        scored += [(p, place in at) for place, p in enumerate(row[decision]["p"])]
    scored.sort(key=lambda pair: -pair[0])
    of, hits, found = sum(right for _, right in scored), 0, []
    for calls, (score, right) in enumerate(scored, 1):
        hits += right
        if calls == len(scored) or scored[calls][0] != score:
            found.append((score, hits, calls, of))
    return found if of else []


def _precisions(swept: list[tuple[float, int, int, int]]) -> list[Point]:
    """Precision over recall, from no recall on as it is at the highest scores."""
    points = [(hits / of, hits / calls) for _, hits, calls, of in swept]
    return [(0.0, points[0][1]), *points]


def _f1_steps(swept: list[tuple[float, int, int, int]]) -> list[Point]:
    """F1 when every score above a threshold is called: constant between neighbouring scores."""
    points: list[Point] = [(1.0, 0.0), (swept[0][0], 0.0)]
    below = [score for score, _, _, _ in swept[1:]] + [0.0]
    for (score, hits, calls, of), least in zip(swept, below, strict=True):
        f1 = 2 * hits / (calls + of)
        points += [(score, f1), (min(least, score), f1)]
    return points[::-1]


def _line(split: str, points: list[Point], at: float | None, value: float | None, said: float | None) -> Line:
    """With a dot where the chosen threshold is."""
    dots = [] if at is None or value is None else [(X(at), Y(value))]
    kept = thinned(points)
    return Line(split, kept, [], path_of([kept], X, Y), None, dots, said)
