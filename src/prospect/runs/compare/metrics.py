"""Which metrics a comparison shows, and which way each of them is better."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from prospect.errors import UserError
from prospect.runs.compare.comparison import Entry
from prospect.runs.nearest import nearest

# The headlines of every task. First what a model does on its own; speak/f1 and dst/f1 are of decisions with the truth
# given before, stream/speak/f1 of the same decisions when it watches freely.
HEADLINES = (
    *("dst/joint_goal_accuracy", "dst/transition_f1", "dialogue/f1", "stream/speak/f1", "speak/f1", "dst/f1"),
    *("accuracy", "macro_f1", "exact", "click/accuracy", "preference_accuracy", "reward"),
)
LESS = {  # parts of names that are better when lower
    *("loss", "false_alarms", "missing", "redundant", "illegal", "unparsable", "seconds", "perplexity", "timing"),
    *("time_difference", "distance"),
}


def chosen(entries: Sequence[Entry], asked: Sequence[str] = ()) -> list[str]:
    """Those asked for, by whole names or by patterns such as test/user/*/exact; else the headlines that the runs have,
    of test, or of val where no run has a test."""
    known = dict.fromkeys(metric for entry in entries for metric in entry.metrics)
    if asked:
        return list(dict.fromkeys(name for each in asked for name in _matching(each, list(known))))
    splits = [next((s for s in ("test", "val") if f"{s}/{name}" in known), None) for name in HEADLINES]
    return [f"{split}/{name}" for split, name in zip(splits, HEADLINES, strict=True) if split]


def _matching(asked: str, known: Sequence[str]) -> list[str]:
    """Of a pattern all that match it, user 2 before user 10."""
    found = [name for name in known if "*" in asked and fnmatchcase(name, asked)]
    return sorted(found, key=_natural) or [named(asked, known, "metric=")]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]


def named(name: str, known: Sequence[str], where: str) -> str:
    if name in known:
        return name
    if not known:
        raise UserError(f"{where}{name}: none of the runs has any metrics yet")
    guess = nearest(name, known) or next((other for other in known if other.endswith(f"/{name}")), "")
    raise UserError(f"{where}{name}: no run has such a metric" + (f"; did you mean {guess}?" if guess else ""))


def less_is_better(metric: str) -> bool:
    words = re.split(r"[/_]", metric)
    return any(part in metric if "_" in part else part in words for part in LESS)


def best(entries: Sequence[Entry], metric: str | None) -> Entry | None:
    """The finished run with the best value; the earlier one of equals."""
    there = [entry for entry in entries if entry.state == "DONE" and metric is not None and _value(entry, metric)]
    if metric is None or not there:
        return None
    choose = min if less_is_better(metric) else max
    return choose(there, key=lambda entry: entry.metrics[metric])


def _value(entry: Entry, metric: str) -> bool:
    return math.isfinite(entry.metrics.get(metric, math.nan))
