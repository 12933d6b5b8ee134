"""What scoring a split gives, whatever its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Scored:
    """Metrics by flat name, the names that say it all, a row a sample, and the table that shows where it goes wrong.

    `confusion` is {labels, columns, matrix} of a classification; `events` has a row for every kind of event of streams,
    `watched` one for every clip that the model watched on its own, `thresholds` what every threshold of the decisions
    gives, on val and on this split: see evaluation/thresholds.py.
    """

    metrics: dict[str, float]
    headline: tuple[str, ...]
    predictions: list[dict[str, Any]]
    confusion: dict[str, Any] | None = None
    events: list[dict[str, Any]] | None = None
    watched: list[dict[str, Any]] | None = None
    thresholds: dict[str, Any] | None = None
