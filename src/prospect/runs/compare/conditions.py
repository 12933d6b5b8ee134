"""`--fail-if "test/speak/f1<0.8"`: what a comparison must not be, for a script that goes on only if it is not."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass

from prospect.errors import UserError
from prospect.runs.compare.comparison import Comparison
from prospect.runs.compare.groups import counted, summary
from prospect.runs.compare.metrics import named
from prospect.runs.strict_json import as_number

RELATIONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_FORM = re.compile(r"\s*([^<>=\s]+)\s*(<=|>=|<|>)\s*(\S+)\s*")


@dataclass(frozen=True)
class Condition:
    metric: str
    relation: str
    bound: float

    def __str__(self) -> str:
        return f"{self.metric} {self.relation} {self.bound:g}"


def condition(text: str) -> Condition:
    found = _FORM.fullmatch(text)
    bound = _number(found[3]) if found else None
    if found is None or bound is None:
        raise UserError(f'--fail-if {text!r}: write METRIC<NUMBER, as in --fail-if "test/speak/f1<0.8"; also <=, >, >=')
    return Condition(found[1], found[2], bound)


def failures(conditions: Sequence[Condition], comparison: Comparison) -> list[str]:
    """A line for every group whose mean is so. A mean that is NaN, or a group without the metric, is no better."""
    known = list(dict.fromkeys(metric for entry in comparison.entries for metric in entry.metrics))
    for each in conditions:
        named(each.metric, known, "--fail-if ")
    return [line for each in conditions for line in _failures(each, comparison)]


def _failures(of: Condition, comparison: Comparison) -> list[str]:
    lines = []
    for group in comparison.groups:
        found = summary(counted(group)[0], of.metric)
        if found is None:
            lines.append(f"{group.name}: {of}: no finished run has this metric")
        elif math.isnan(found.mean) or RELATIONS[of.relation](found.mean, of.bound):
            lines.append(f"{group.name}: {of}: the mean over {found.count} seeds is {found.mean:.6g}")
    return lines


def _number(text: str) -> float | None:
    try:
        value = as_number(float(text))
    except ValueError:
        return None
    return None if value is None or math.isnan(value) else value
