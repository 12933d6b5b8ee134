"""Against scipy, numpy and brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from prospect.runs.compare import statistics

numbers = st.lists(st.floats(-100, 100).map(lambda x: round(x, 6)), min_size=3, max_size=20)


@given(numbers)
def test_mean_and_deviation(values):
    assert statistics.mean(values) == pytest.approx(np.mean(values), abs=1e-12)
    assert statistics.deviation(values) == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    assert statistics.deviation(values[:1]) is None
    assert statistics.deviation([*values[:1]] * 3) == 0


@pytest.mark.parametrize("count", [3, 4, 5, 10, 30])
def test_paired_t_is_scipys(count):
    random = np.random.default_rng(count)
    for scale in (1e-6, 1e-3, 1.0):
        first = random.normal(0.5, 0.1, count)
        second = first + random.normal(scale, scale, count)
        ours, theirs = statistics.paired_t(first, second), stats.ttest_rel(first, second)
        low, high = theirs.confidence_interval(0.95)
        assert ours.p == pytest.approx(theirs.pvalue, abs=1e-12)
        assert (ours.difference, ours.low, ours.high) == pytest.approx((np.mean(first - second), low, high), abs=1e-12)


def test_no_p_under_three_pairs_nor_without_spread():
    assert statistics.paired_t([0.5, 0.6], [0.1, 0.3]) == statistics.Paired(pytest.approx(0.35))
    assert statistics.paired_t([0.5, 0.6, 0.7], [0.4, 0.5, 0.6]).p is None
    assert statistics.paired_t([0.5, 0.6, 0.7], [0.5, 0.6, 0.7]).p == 1.0
    assert statistics.paired_t([0.5, 0.6, np.nan], [0.1, 0.2, 0.3]).p is None
    two = np.array([[1.0, 2.0], [0.0, 2.0]])
    assert statistics.exchanged(two, two[::-1]).p is None


@pytest.mark.parametrize("count", [3, 5, 8])
def test_every_exchange_is_gone_through(count):
    random = np.random.default_rng(count)
    lower = random.integers(1, 9, (2, count))
    first, second = (np.stack([random.integers(0, low + 1), low], 1).astype(float) for low in lower)

    def metric(rows):
        upper, below = np.sum(rows, axis=0)
        return upper / below

    observed = metric(first) - metric(second)
    extreme = 0
    for swaps in product([False, True], repeat=count):
        a = [s if swap else f for f, s, swap in zip(first, second, swaps, strict=True)]
        b = [f if swap else s for f, s, swap in zip(first, second, swaps, strict=True)]
        extreme += abs(metric(a) - metric(b)) >= abs(observed) - 1e-12
    found = statistics.exchanged(first, second)
    assert found.p == pytest.approx(extreme / 2**count, abs=1e-12)
    assert found.difference == pytest.approx(observed, abs=1e-12)
    assert found.low <= found.difference <= found.high


def test_drawn_exchanges_come_near_the_test_of_scipy():
    random = np.random.default_rng(0)
    first, second = random.binomial(1, 0.6, 40), random.binomial(1, 0.4, 40)
    ones = np.ones(40)
    found = statistics.exchanged(np.stack([first, ones], 1), np.stack([second, ones], 1))
    theirs = stats.permutation_test(
        (first, second), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=20_000, rng=1
    )
    assert found.p == pytest.approx(theirs.pvalue, abs=0.02)
    assert statistics.exchanged(np.stack([first, ones], 1), np.stack([first, ones], 1)).p == 1.0


def test_where_nothing_differs_a_small_p_is_rare():
    random = np.random.default_rng(3)
    ps = []
    for _ in range(200):
        shares = random.integers(0, 5, (2, 20, 1)) + np.array([0.0, 4.0]) * [0, 1]
        ps.append(statistics.exchanged(shares[0], shares[1]).p)
    assert np.mean(np.array(ps) < 0.05) < 0.1


def test_bootstrap_is_the_quantiles_of_all_possible_draws():
    values = [0.1, 0.4, 0.55, 0.9, 0.97]
    means = [np.mean(draw) for draw in product(values, repeat=5)]
    assert statistics.bootstrap(values) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.02)
    assert statistics.bootstrap(values) == statistics.bootstrap(list(values))
    drawn = np.random.default_rng(0).multinomial(5, np.full(5, 0.2), size=2_000) / 5 @ np.array(values)
    assert statistics.bootstrap(values) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=1e-12)
    assert statistics.bootstrap([0.5]) is None


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=8))
def test_holm_by_its_definition(ps):
    """p_(i) adjusted = max over j ≤ i of min(1, (m − j + 1) p_(j))."""
    there = sorted(p for p in ps if p is not None)
    m = len(there)
    for p, adjusted in zip(ps, statistics.holm(ps), strict=True):
        if p is None:
            assert adjusted is None
        else:
            rank = there.index(p)
            ties = there.count(p)
            # equal p have equal adjusted ones: the first of them carries the largest factor
            expected = max(min(1.0, (m - j) * there[j]) for j in range(rank + ties))
            assert adjusted == pytest.approx(expected, abs=1e-12)
