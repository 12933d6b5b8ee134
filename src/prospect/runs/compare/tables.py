"""The tables of a comparison's page: what stands in each cell, and by what it is sorted."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from prospect.runs.compare.comparison import Comparison, Entry, Group, Summary, Test
from prospect.runs.compare.settings import ABSENT, TARGET, spelt
from prospect.runs.compare.wording import SHOWN, UNDONE, interval, number_of, probability, signed, signed_interval
from prospect.runs.reports.curves import Axis
from prospect.runs.wording import span

ROWS = 1000  # of each table, so that the page stays a few megabytes
SETTINGS, METRICS = 8, 12  # columns
SEEDS = 16  # dots
LETTERS, LINES = 300, 1200  # of a setting or a name; of a command or an error
WIDTH, MARGIN = 120, 5  # of a whisker


def clipped(text: str, most: int = LETTERS) -> str:
    return text if len(text) <= most else f"{text[:most]} …"


def order(value: Any) -> str:
    """What a number is sorted by; nothing for what is none, which comes last."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return ""
    return repr(value).replace("inf", "Infinity")


def setting(key: str, value: Any) -> dict[str, str]:
    """As on a command line; of a target the name alone."""
    text = spelt(value)
    if key.endswith(TARGET):
        text = text.rpartition(".")[2]
    return {"text": "" if value == ABSENT else clipped(text), "order": order(value)}


def breakable(key: str) -> Markup:
    """A long key as the head of a narrow column."""
    return Markup(re.sub(r"([/._])", r"\1<wbr>", str(escape(key))))  # no escape holds one of these


def states(entries: Iterable[Entry]) -> dict[str, int]:
    """How many there are of each, in the order in which they are told."""
    found: dict[str, int] = {}
    for entry in entries:
        found[entry.state] = found.get(entry.state, 0) + 1
    return {state: found[state] for state in SHOWN if state in found}


# --- groups -----------------------------------------------------------------------------------------------------------


def group_rows(comparison: Comparison, drawn: Mapping[int, int]) -> list[dict[str, Any]]:
    """`drawn` leads from a group's place to that of its curve."""
    axes = {metric: _axis(comparison.groups, metric) for metric in comparison.metrics[:METRICS]}
    base = next((group for group in comparison.groups if group.name == comparison.baseline), None)
    tests = _tests(comparison.tests)
    return [
        {
            "place": place,
            "name": clipped(group.name),
            "curve": drawn.get(place),
            "is_baseline": group is base,
            "is_best": any(entry is comparison.best for entry in group.entries),
            "states": states(group.entries),
            "settings": [setting(key, group.settings.get(key, ABSENT)) for key in comparison.keys[:SETTINGS]],
            "metrics": [
                _cell(group, base, metric, axis, tests.get((metric, group.name))) for metric, axis in axes.items()
            ],
        }
        for place, group in enumerate(comparison.groups[:ROWS])
    ]


def _tests(tests: Iterable[Test]) -> dict[tuple[str, str], Test]:
    """One for each cell: over seeds where there is one with a p."""
    found: dict[tuple[str, str], Test] = {}
    for test in sorted(tests, key=lambda test: (test.p_holm is None, test.pairs != "seeds"), reverse=True):
        found[test.metric, test.group] = test
    return found


def _axis(groups: Iterable[Group], metric: str) -> Axis | None:
    """The same for a whole column."""
    there = [group.summaries[metric] for group in groups if metric in group.summaries]
    values = [value for summary in there for value in _values(summary)]
    if not values or max(values) == min(values):
        return None
    low, high = min(values), max(values)
    return Axis(low, high, MARGIN, WIDTH - MARGIN) if math.isfinite(high - low) else None


def _values(summary: Summary) -> list[float]:
    known = (summary.mean, summary.low, summary.high, *list(summary.by_seed.values())[:SEEDS])
    return [value for value in known if value is not None and math.isfinite(value)]


def _cell(group: Group, base: Group | None, metric: str, axis: Axis | None, test: Test | None) -> dict[str, Any] | None:
    summary = group.summaries.get(metric)
    if summary is None:
        return None
    reference = base.summaries.get(metric) if base else None
    return {
        "order": order(summary.mean),
        "mean": number_of(summary.mean),
        "std": None if summary.std is None else number_of(summary.std),
        "count": summary.count,
        "interval": interval(summary.low, summary.high),
        "whisker": _whisker(summary, reference, axis) if axis and math.isfinite(summary.mean) else None,
        "test": test and _said(test),
    }


def _whisker(summary: Summary, reference: Summary | None, axis: Axis) -> dict[str, Any]:
    bounds = [value for value in (summary.low, summary.high) if value is not None and math.isfinite(value)]
    return {
        "seeds": [axis(value) for value in list(summary.by_seed.values())[:SEEDS] if math.isfinite(value)],
        "mean": axis(summary.mean),
        "bounds": [axis(value) for value in bounds] if len(bounds) == 2 else None,
        "reference": axis(reference.mean) if reference and math.isfinite(reference.mean) else None,
    }


def _said(test: Test) -> dict[str, Any]:
    return {
        "difference": signed(test.difference),
        "p": "no p" if test.p_holm is None else f"p {probability(test.p_holm)}",
        "pairs": f"{test.count} {test.pairs[:-1] if test.count == 1 else test.pairs}",
        "is_clear": test.p_holm is not None and test.p_holm < 0.05,
    }


# --- runs and tests ---------------------------------------------------------------------------------------------------


def run_rows(comparison: Comparison) -> list[dict[str, Any]]:
    groups = {entry.folder: place for place, group in enumerate(comparison.groups) for entry in group.entries}
    return [_run(entry, comparison, groups.get(entry.folder)) for entry in comparison.entries[:ROWS]]


def _run(entry: Entry, comparison: Comparison, group: int | None) -> dict[str, Any]:
    went_wrong = entry.state in UNDONE
    return {
        "group": group,
        "name": clipped(entry.name),
        "is_short": len(entry.name) <= 32,
        "folder": str(entry.folder),
        "state": entry.state,
        "is_best": entry is comparison.best,
        "seed": entry.seed,
        "settings": [setting(key, entry.config.get(key, ABSENT)) for key in comparison.keys[:SETTINGS]],
        "metrics": [_value(entry.metrics.get(metric)) for metric in comparison.metrics[:METRICS]],
        "seconds": {"text": "" if entry.seconds is None else span(entry.seconds), "order": order(entry.seconds)},
        "commit": (entry.commit or "")[:9],
        "dirty": bool(entry.dirty),
        "command": clipped(entry.command or "", LINES),
        "problem": clipped(entry.problem or "", LINES) if went_wrong else "",
        "log": str(entry.log) if went_wrong and entry.log else "",
    }


def _value(value: float | None) -> dict[str, str]:
    return {"text": "" if value is None else number_of(value), "order": order(value)}


def test_rows(comparison: Comparison) -> list[dict[str, Any]]:
    places = {group.name: place for place, group in enumerate(comparison.groups)}
    axes = {metric: _around_zero([t for t in comparison.tests if t.metric == metric]) for metric in comparison.metrics}
    return [
        {
            "group": places.get(test.group),
            "name": clipped(test.group),
            "metric": test.metric,
            "difference": {"text": signed(test.difference), "order": order(test.difference)},
            "interval": signed_interval(test),
            "whisker": _reach(test, axes.get(test.metric)),
            "pairs": _said(test)["pairs"],
            "p": {"text": probability(test.p), "order": order(test.p)},
            "p_holm": {"text": probability(test.p_holm), "order": order(test.p_holm)},
            "is_clear": _said(test)["is_clear"],
        }
        for test in comparison.tests[:ROWS]
    ]


def _around_zero(tests: Sequence[Test]) -> Axis | None:
    """No difference stands in the middle."""
    values = [abs(v) for test in tests for v in (test.difference, test.low, test.high) if v is not None]
    furthest = max((value for value in values if math.isfinite(value)), default=0.0)
    return Axis(-furthest, furthest, MARGIN, WIDTH - MARGIN) if 0 < furthest < 1e300 else None


def _reach(test: Test, axis: Axis | None) -> dict[str, Any] | None:
    if axis is None or test.low is None or not math.isfinite(test.difference):
        return None  # a dot without a reach says nothing
    alone = Summary(test.difference, None, test.count, test.low, test.high, {})
    return _whisker(alone, Summary(0.0, None, 0, None, None, {}), axis)
