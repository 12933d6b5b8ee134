"""What can be said from a few seeds, or a few dozen videos: means, intervals, paired tests, Holm's correction.

Everything that draws has a fixed seed: the same runs always give the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

DRAWS, EXCHANGES, LEVEL = 2_000, 10_000, 0.95
LEAST = 3  # pairs, below which nothing is tested
EXACT = 13  # pairs up to which all 2^n exchanges are gone through


@dataclass(frozen=True)
class Paired:
    """Of first minus second: None where there are too few pairs, or none of them differs from another."""

    difference: float
    low: float | None = None
    high: float | None = None
    p: float | None = None


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def deviation(values: Sequence[float]) -> float | None:
    """Of the sample: n − 1 below. One value has none, equal ones exactly 0, whatever rounding makes of their mean."""
    if len(values) < 2:
        return None
    return 0.0 if len(set(values)) == 1 else float(np.std(values, ddof=1))


def bootstrap(values: Sequence[float]) -> tuple[float, float] | None:
    """The middle 95 % of the means of samples drawn with replacement.

    Of three or four values that is nearly their whole range, and it holds the true mean less often than it says: read
    it as the spread of the runs. One value has none.
    """
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    means = _weights(len(values)) @ np.asarray(values, float)
    return _middle(means)


def paired_t(first: Sequence[float], second: Sequence[float]) -> Paired:
    """Student's test of the differences of the same seeds, and its interval of their mean.

    With three to five seeds no test without an assumption can reach 5 % (flipping signs gives 2 / 2^n at best); this
    one assumes that the differences are normally distributed. Differences that are all the same have no spread to
    judge them by: all 0 is p = 1, anything else no p.
    """
    differences = np.asarray(first, float) - np.asarray(second, float)
    count, center = len(differences), float(np.mean(differences))
    if count < LEAST or not np.isfinite(differences).all():
        return Paired(center)
    scale = float(np.abs([*first, *second]).max())
    spread = float(np.std(differences, ddof=1))
    if spread <= 1e-12 * scale:  # what is left of rounding
        return Paired(center, p=None if abs(center) > 1e-12 * scale else 1.0)
    from scipy.special import stdtr, stdtrit  # half a second that most comparisons need not wait for

    error = spread / np.sqrt(count)
    reach = float(stdtrit(count - 1, (1 + LEVEL) / 2)) * error
    p = 2 * float(stdtr(count - 1, -abs(center) / error))
    return Paired(center, float(center - reach), float(center + reach), p)


def exchanged(first: np.ndarray, second: np.ndarray) -> Paired:
    """Approximate randomisation (Yeh 2000) of a metric that is a ratio of sums over videos, such as F1 over all frames.

    `first` and `second` are (videos, 2): what a video adds to the upper and to the lower sum. If both systems were
    alike, each video's two results could as well be exchanged; p is the share of exchanges that make the metrics differ
    at least as much as they do. All of them up to 13 videos, otherwise 10,000 drawn ones and the one that is there. The
    interval is of bootstrapped videos.
    """
    count, difference = len(first), float(_ratio(first.sum(0)) - _ratio(second.sum(0)))
    if count < LEAST:
        return Paired(difference)
    moved = _exchanges(count) @ (second - first)
    differences = _ratio(first.sum(0) + moved) - _ratio(second.sum(0) - moved)
    extreme = int((np.abs(differences) >= abs(difference) - 1e-12).sum())
    p = extreme / len(differences) if count <= EXACT else (1 + extreme) / (1 + len(differences))
    weights = _weights(count)
    low, high = _middle(_ratio(weights @ first) - _ratio(weights @ second))
    return Paired(difference, low, high, p)


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down: the i-th smallest of m is multiplied by m − i + 1 and is never less than the ones before it.
    Tests without a p take no part."""
    order = sorted((value, place) for place, value in enumerate(p) if value is not None)
    adjusted: list[float | None] = [None] * len(p)
    highest = 0.0
    for rank, (value, place) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * value))
        adjusted[place] = highest
    return adjusted


def _middle(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _ratio(sums: np.ndarray) -> np.ndarray:
    """Upper by lower, 0 where there is nothing: (…, 2) → (…)."""
    upper, lower = sums[..., 0], sums[..., 1]
    return np.divide(upper, lower, out=np.zeros(np.shape(upper)), where=lower != 0)


@lru_cache(maxsize=8)
def _weights(count: int) -> np.ndarray:
    """(draws, count): the share of each value in each draw."""
    return np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=DRAWS) / count


@lru_cache(maxsize=8)
def _exchanges(count: int) -> np.ndarray:
    """(exchanges, count): 1 where a video's results change sides."""
    if count <= EXACT:
        return (np.arange(2**count)[:, None] >> np.arange(count) & 1).astype(float)
    return np.random.default_rng(0).integers(0, 2, (EXCHANGES, count)).astype(float)
