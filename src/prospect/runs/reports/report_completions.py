"""What a report shows of what a policy said while it learnt: from its first words to its last."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from prospect.runs.reports import curves

MOMENTS = 4  # steps, evenly from the first to the last
SHOWN = 6  # completions of a prompt, those that earned most first
PARTS = "rewards/"


def moments(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of a few steps the first prompt, with what was said to it and what that earned."""
    steps: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        steps.setdefault(row.get("step"), []).append(row)
    return [_moment(step, steps[step]) for step in _spread(list(steps))]


def _spread(steps: list[Any]) -> list[Any]:
    if len(steps) <= MOMENTS:
        return steps
    return [steps[round(number * (len(steps) - 1) / (MOMENTS - 1))] for number in range(MOMENTS)]


def _moment(step: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    _, first = next(groupby(rows, key=lambda row: row.get("prompt")))
    group = sorted(first, key=_earned, reverse=True)
    return {
        "step": step,
        "prompt": rows[0].get("prompt"),
        "said": [{**_row(row), "parts": _parts(row)} for row in group[:SHOWN]],
        "more": max(len(group) - SHOWN, 0),
    }


def _earned(row: dict[str, Any]) -> float:
    """What cannot be read as a number, such as the reward of a failed judgement, comes last."""
    real = curves.as_number(row.get("reward"))
    return real if real is not None and real == real else float("-inf")


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {"text": row.get("completion"), "reward": row.get("reward"), "advantage": row.get("advantage")}


def _parts(row: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(PARTS): value for name, value in row.items() if name.startswith(PARTS)}
