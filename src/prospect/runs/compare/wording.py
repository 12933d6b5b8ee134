"""A comparison's numbers in words, for terminal and Markdown alike."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from prospect.runs.compare.comparison import Comparison, Entry, Summary, Test
from prospect.runs.wording import number

SHOWN = ("DONE", "RUNNING", "INTERRUPTED", "FAILED", "KILLED", "BROKEN")
UNDONE = ("FAILED", "KILLED", "BROKEN", "INTERRUPTED")


def states(entries: Sequence[Entry]) -> str:
    """60 runs: 48 DONE, 4 FAILED, 8 BROKEN"""
    counts = Counter(entry.state for entry in entries)
    told = ", ".join(f"{counts[state]} {state}" for state in SHOWN if counts[state])
    return f"{len(entries)} run{'s' * (len(entries) != 1)}: {told}"


def undone(entries: Sequence[Entry]) -> list[Entry]:
    """What needs a look: not DONE, not still going on."""
    return sorted((e for e in entries if e.state in UNDONE), key=lambda entry: UNDONE.index(entry.state))


def spread(summary: Summary | None) -> str:
    if summary is None:
        return ""
    return number_of(summary.mean) + ("" if summary.std is None else f" ± {number_of(summary.std)}")


def interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{number_of(low)} … {number_of(high)}"


def signed(value: float) -> str:
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{number_of(abs(value))}"


def signed_interval(test: Test) -> str:
    return "" if test.low is None or test.high is None else f"{signed(test.low)} … {signed(test.high)}"


def probability(p: float | None) -> str:
    return "" if p is None else "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def number_of(value: float) -> str:
    """Shares with three digits, as in the tables of papers."""
    if math.isfinite(value) and (value == 0 or 5e-4 <= abs(value) < 10):
        return f"{value:.3f}"
    return number(value)


def seeds(comparison: Comparison) -> dict[str, str]:
    """How many seeds stand behind a group's numbers, by its name: 3, or 2–3 where metrics have not all as many."""
    told = {}
    for group in comparison.groups:
        counts = {summary.count for summary in group.summaries.values()} or {0}
        told[group.name] = "–".join(str(count) for count in sorted({min(counts), max(counts)}))
    return told
