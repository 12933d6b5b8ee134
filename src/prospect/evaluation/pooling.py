"""From counts of videos to rates of a split: micro, macro, and an interval over videos.

Every family of metrics counts a video into plain numbers that can be added, and has one function from counts to rates
that works elementwise on arrays. The sum over videos gives micro, the videos themselves macro (their mean), sums over
videos drawn with replacement the interval. NaN inside means that there was nothing to measure: macro and interval
leave such videos and draws out, and none comes out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Counts = Mapping[str, Any]  # of one video numbers, of many an array with one number each
Rates = Callable[[Counts], dict[str, Any]]

DRAWS, LEVEL = 1000, 0.95


@dataclass(frozen=True)
class Pooled:
    """One metric over a split. `low` and `high` are percentiles of the micro value over draws of videos."""

    micro: float
    macro: float
    low: float
    high: float


def share(upper: Any, lower: Any, some: Any = None) -> np.ndarray:
    """upper / lower: 0 where there is nothing to divide by, NaN where `some` (or else `lower`) says: not measurable."""
    upper, lower = np.asarray(upper, float), np.asarray(lower, float)
    found = np.divide(upper, lower, out=np.zeros(np.broadcast(upper, lower).shape), where=lower != 0)
    return np.where(np.asarray(lower if some is None else some) != 0, found, np.nan)


def totals(videos: Sequence[Counts]) -> dict[str, float]:
    return {key: float(sum(video[key] for video in videos)) for key in (videos[0] if videos else ())}


def micro(videos: Sequence[Counts], rates: Rates) -> dict[str, float]:
    """Rates of the pooled counts. What could not be measured is 0, and so is everything of no videos at all."""
    found = rates(_columns([totals(videos)] if videos else []))
    return {name: _finite(values[0]) if videos else 0.0 for name, values in found.items()}


def pooled(
    videos: Sequence[Counts], rates: Rates, draws: int = DRAWS, seed: int = 0, level: float = LEVEL
) -> dict[str, Pooled]:
    """Every metric as micro, macro and interval. The same seed and videos give the same interval."""
    one = micro(videos, rates)
    if not videos:
        return {name: Pooled(0.0, 0.0, 0.0, 0.0) for name in one}
    columns = _columns(videos)
    chosen = drawn(len(videos), draws, seed)
    many = rates({key: chosen @ column for key, column in columns.items()})
    each = rates(columns)
    return {name: Pooled(value, _mean(each[name]), *interval(many[name], level)) for name, value in one.items()}


def drawn(videos: int, draws: int, seed: int) -> np.ndarray:
    """(draws, videos): how often each video is in each draw, with replacement."""
    return np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), size=draws)


def interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The middle `level` of the measurable draws."""
    values = values[~np.isnan(values)]
    if not len(values):
        return 0.0, 0.0
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _columns(videos: Sequence[Counts]) -> Mapping[str, np.ndarray]:
    if not videos:
        return defaultdict(lambda: np.zeros(0))  # whatever is asked for, of no videos
    return {key: np.array([video[key] for video in videos], float) for key in videos[0]}


def _mean(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else 0.0


def _finite(value: float) -> float:
    return 0.0 if np.isnan(value) else float(value)
