"""Claims: pooled rates are rates of sums; macro leaves out what could not be measured; intervals are those of resampled
videos, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from prospect.evaluation.pooling import drawn, interval, micro, pooled, share, totals


def rates(of):
    return {"rate": share(of["hits"], of["all"])}


VIDEOS = [{"hits": 1, "all": 1}, {"hits": 0, "all": 3}, {"hits": 0, "all": 0}]


def test_micro_and_macro():
    assert totals(VIDEOS) == {"hits": 1, "all": 4}
    assert micro(VIDEOS, rates) == {"rate": 0.25}
    found = pooled(VIDEOS, rates)["rate"]
    assert (found.micro, found.macro) == (0.25, 0.5)


def test_nothing_is_zero():
    assert micro([], rates) == {"rate": 0.0}
    assert micro(VIDEOS[2:], rates) == {"rate": 0.0}
    for videos in ([], VIDEOS[2:]):
        found = pooled(videos, rates)["rate"]
        assert (found.micro, found.macro, found.low, found.high) == (0, 0, 0, 0)


def test_the_interval_is_that_of_videos_drawn_with_replacement():
    rng = np.random.default_rng(3)
    videos = [{"hits": int(rng.integers(0, 5)), "all": 5} for _ in range(8)]
    found = pooled(videos, rates, draws=200, seed=7)["rate"]
    values = []
    for weights in drawn(8, 200, 7):
        chosen = [video for video, times in zip(videos, weights, strict=True) for _ in range(times)]
        assert len(chosen) == 8
        values.append(micro(chosen, rates)["rate"])
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    assert found.low < found.micro < found.high
    assert found == pooled(videos, rates, draws=200, seed=7)["rate"]
    assert found != pooled(videos, rates, draws=200, seed=8)["rate"]


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(200):
        videos = [{"hits": int(rng.binomial(20, 0.6)), "all": 20} for _ in range(40)]
        found = pooled(videos, rates, draws=300)["rate"]
        covered += found.low <= 0.6 <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def test_draws_without_anything_to_measure_are_left_out():
    assert interval(np.array([0.5, np.nan, 0.7]), 1.0) == (0.5, 0.7)
    assert interval(np.array([np.nan])) == (0, 0)


def test_share():
    assert share(1, 4) == 0.25
    assert np.isnan(share(1, 0))
    assert share(1, 0, 2) == 0
    assert np.isnan(share(0, 3, 0))
    np.testing.assert_equal(share([1, 0], [2, 0]), [0.5, np.nan])
