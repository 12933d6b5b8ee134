"""Answers of many users as rates: of each user, of all pooled, and an interval over users.

Whoever comes next is another user, not another answer of the same ones: so the bootstrap draws whole users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from prospect.evaluation.matching import Match
from prospect.evaluation.pooling import DRAWS, LEVEL, drawn, interval

Rates = dict[str, float]


def rates(matches: Sequence[Match], radius: float) -> Rates:
    """Shares of the answers; of those whose truth holds a point the clicks within `radius`, and how far off they are.

    An unparsable answer is a miss, is counted, and has no distance. What there is nothing to measure of is left out.
    """
    found = {
        "samples": len(matches),
        "exact": sum(match.exact for match in matches) / len(matches),
        "normalised": sum(match.normalised for match in matches) / len(matches),
    }
    clicks = [match for match in matches if match.has_point]
    if not clicks:
        return found
    distances = [match.distance for match in clicks if match.distance is not None]
    found |= {
        "click/samples": len(clicks),
        "click/accuracy": sum(distance <= radius for distance in distances) / len(clicks),
        "click/unparsable": 1 - len(distances) / len(clicks),
    }
    if distances:
        found |= {
            "click/mean_distance": float(np.mean(distances)),
            "click/median_distance": float(np.median(distances)),
        }
    return found


def pooled(users: Mapping[int, Sequence[Match]], radius: float, draws: int = DRAWS, seed: int = 0) -> Rates:
    """Rates of all answers together; `_macro` is the mean over users, `_low` and `_high` enclose 95 % of the draws."""
    assert users, "a split without answers is not scored"
    whole = rates([match for matches in users.values() for match in matches], radius)
    each = [rates(matches, radius) for matches in users.values()]
    bounds = _bounds(list(users.values()), radius, draws, seed)
    found: Rates = {"users": len(users)}
    for name, value in whole.items():
        found[name] = value
        if not name.endswith("samples"):
            found[f"{name}_macro"] = float(np.mean([one[name] for one in each if name in one]))
            found[f"{name}_low"], found[f"{name}_high"] = bounds[name]
    return found


def _bounds(users: Sequence[Sequence[Match]], radius: float, draws: int, seed: int) -> dict[str, tuple[float, float]]:
    owner = np.repeat(np.arange(len(users)), [len(matches) for matches in users])
    chosen = drawn(len(users), draws, seed)  # (draws, users)
    shares = {
        name: chosen @ np.bincount(owner, upper, len(users)) / _or_nan(chosen @ np.bincount(owner, lower, len(users)))
        for name, (upper, lower) in _fractions([match for matches in users for match in matches], radius).items()
    }
    distances = [[match.distance for match in matches if match.distance is not None] for matches in users]
    shares["click/median_distance"] = _medians(distances, chosen)
    return {name: interval(values, LEVEL) for name, values in shares.items()}


def _fractions(matches: Sequence[Match], radius: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What each answer adds above and below the line."""
    clicks = np.array([match.has_point for match in matches], float)
    far = np.array([np.nan if match.distance is None else match.distance for match in matches])
    measured, every = (~np.isnan(far)).astype(float), np.ones(len(matches))
    return {
        "exact": (np.array([match.exact for match in matches], float), every),
        "normalised": (np.array([match.normalised for match in matches], float), every),
        "click/accuracy": ((far <= radius).astype(float), clicks),
        "click/unparsable": (clicks - measured, clicks),
        "click/mean_distance": (np.nan_to_num(far), measured),
    }


def _or_nan(counts: np.ndarray) -> np.ndarray:
    return np.where(counts > 0, counts, np.nan)


def _medians(distances: Sequence[Sequence[float]], chosen: np.ndarray) -> np.ndarray:
    """The median of each draw; NaN of one without any distance. A median does not add up, and is found by weights."""
    values = np.array([distance for one in distances for distance in one])
    order = np.argsort(values, kind="stable")
    values, owner = values[order], np.repeat(np.arange(len(distances)), [len(one) for one in distances])[order]
    medians = np.full(len(chosen), np.nan)
    for draw, times in enumerate(chosen):
        below = np.cumsum(times[owner])
        count = int(below[-1]) if len(below) else 0
        if count:
            low, high = np.searchsorted(below, [(count - 1) // 2, count // 2], side="right")
            medians[draw] = (values[low] + values[high]) / 2
    return medians


def by_user(users: Mapping[int, Sequence[Match]], radius: float) -> dict[int, Rates]:
    return {user: rates(matches, radius) for user, matches in sorted(users.items())}
