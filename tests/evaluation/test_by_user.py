"""Rates of users against the same counted naively, and intervals against draws made one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.evaluation.by_user import by_user, pooled, rates
from prospect.evaluation.matching import Match
from prospect.evaluation.pooling import drawn

MATCHES = st.builds(
    lambda exact, alike, point, distance: Match(exact, exact or alike, point, distance if point else None),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(0, 300).map(float),
)
USERS = st.dictionaries(st.integers(1, 9), st.lists(MATCHES, min_size=1, max_size=6), min_size=1, max_size=5)
RADIUS = 100.0


def naive(matches):
    clicks = [m for m in matches if m.has_point]
    far = [m.distance for m in clicks if m.distance is not None]
    found = {
        "samples": len(matches),
        "exact": np.mean([m.exact for m in matches]),
        "normalised": np.mean([m.normalised for m in matches]),
    }
    if clicks:
        found["click/samples"] = len(clicks)
        found["click/accuracy"] = sum(d <= RADIUS for d in far) / len(clicks)
        found["click/unparsable"] = sum(m.distance is None for m in clicks) / len(clicks)
    if far:
        found["click/mean_distance"], found["click/median_distance"] = np.mean(far), np.median(far)
    return found


@given(st.lists(MATCHES, min_size=1))
def test_rates(matches):
    assert rates(matches, RADIUS) == pytest.approx(naive(matches))


@given(USERS)
def test_pooled_is_all_answers_and_the_mean_of_users_and_draws_of_users(users):
    found = pooled(users, RADIUS, draws=40, seed=3)
    everything = naive([m for matches in users.values() for m in matches])
    assert {name: found[name] for name in everything} == pytest.approx(everything)
    assert found["users"] == len(users)
    assert {user: pytest.approx(naive(matches)) for user, matches in users.items()} == by_user(users, RADIUS)
    samples = [
        naive([m for matches, times in zip(users.values(), row, strict=True) for m in list(matches) * times])
        for row in drawn(len(users), 40, 3)
    ]
    for name in everything:
        if name.endswith("samples"):
            continue
        each = [naive(matches)[name] for matches in users.values() if name in naive(matches)]
        assert found[f"{name}_macro"] == pytest.approx(np.mean(each))
        values = [sample[name] for sample in samples if name in sample]
        bounds = np.quantile(values, [0.025, 0.975])
        assert (found[f"{name}_low"], found[f"{name}_high"]) == pytest.approx(tuple(bounds), abs=1e-9)


def test_users_that_differ_give_a_wider_interval_than_answers_that_do():
    right, wrong = Match(True, True), Match(False, False)
    apart = pooled({user: [right if user % 2 else wrong] * 20 for user in range(10)}, RADIUS)
    mixed = pooled({user: [right, wrong] * 10 for user in range(10)}, RADIUS)
    assert apart["exact"] == mixed["exact"] == 0.5
    assert mixed["exact_low"] == mixed["exact_high"] == 0.5
    assert apart["exact_low"] < 0.3 < 0.7 < apart["exact_high"]
