"""Claims: hits within a tolerance equal trying everything; average precision's interval is that of repeated videos."""

from __future__ import annotations

import random
from itertools import product
from math import isfinite

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.evaluation import decisions
from prospect.evaluation.calls import counts, hits_within, pooled_precision, rates
from prospect.evaluation.pooling import drawn, micro, pooled

frames = st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=20)


def arrays(case):
    return np.array([label for label, _ in case], bool), np.array([score / 4 for _, score in case])


def tried(labels, yes, tolerance):
    events = np.flatnonzero(labels)
    options = [[None, *(e for e in events if abs(e - call) <= tolerance)] for call in np.flatnonzero(yes)]
    taken = ([event for event in chosen if event is not None] for chosen in product(*options))
    return max(len(chosen) for chosen in taken if len(set(chosen)) == len(chosen))


def test_hits_equal_trying_everything():
    rng = random.Random(0)
    for _ in range(500):
        length = rng.randint(0, 9)
        labels, yes = (np.array([rng.random() < 0.4 for _ in range(length)], bool) for _ in range(2))
        tolerance = rng.randint(0, 3)
        assert hits_within(labels, yes, tolerance) == tried(labels, yes, tolerance)
        assert hits_within(labels, yes, 0) == (labels & yes).sum()


@given(frames)
@settings(max_examples=100, deadline=None)
def test_frame_exact_rates_equal_those_of_one_split(case):
    labels, scores = arrays(case)
    found = micro([counts(labels, scores > 0.5, 1)], rates)
    wanted = decisions.rates(labels, scores > 0.5)
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value)
    assert found["near_f1"] >= found["f1"]
    assert all(isfinite(value) for value in found.values())


def test_oracle_and_silence():
    labels = np.array([True, False, True, False, False])
    video, quiet = counts(labels, labels, 1), counts(labels[:0], labels[:0], 1)
    for name, value in pooled([video, video, quiet], rates).items():
        wanted = 0 if name == "false_alarms" else 1
        assert (value.micro, value.macro, value.low, value.high) == (wanted,) * 4, name
    silent = micro([counts(labels, ~labels & labels, 1)], rates)
    assert silent.pop("balanced_accuracy") == 0.5  # the mean of no event and every silent frame
    assert set(silent.values()) == {0.0}
    never = np.zeros(4, bool)
    without = micro([counts(never, never, 1)], rates)
    assert without.pop("balanced_accuracy") == 1  # only silent frames, and all right
    assert set(without.values()) == {0.0}
    always = micro([counts(~never, ~never, 1)], rates)
    assert always.pop("false_alarms") == 0
    assert set(always.values()) == {1.0}


def test_within_a_tolerance_each_call_and_event_counts_once():
    labels = np.array([0, 0, 1, 0, 0, 0, 1, 0], bool)
    yes = np.array([0, 1, 0, 1, 0, 0, 0, 0], bool)
    found = micro([counts(labels, yes, 1)], rates)
    assert (found["near_precision"], found["near_recall"], found["near_f1"]) == (0.5, 0.5, 0.5)
    assert found["f1"] == 0


def test_average_precision_over_videos():
    rng = np.random.default_rng(0)
    videos = [(rng.random(12) < 0.2, rng.integers(0, 8, 12) / 8) for _ in range(6)]
    found = pooled_precision(videos, draws=60, seed=4)
    together = [np.concatenate(column) for column in zip(*videos, strict=True)]
    assert found.micro == pytest.approx(decisions.average_precision(*together))
    assert found.macro == pytest.approx(np.mean([decisions.average_precision(*v) for v in videos if v[0].any()]))
    values = []
    for weights in drawn(6, 60, 4):
        chosen = [video for video, times in zip(videos, weights, strict=True) for _ in range(times)]
        labels, scores = (np.concatenate(column) for column in zip(*chosen, strict=True))
        if labels.any():
            values.append(decisions.average_precision(labels, scores))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    assert found == pooled_precision(videos, draws=60, seed=4)


def test_no_average_precision_is_above_one():
    rng = np.random.default_rng(0)
    for frames in range(5, 60):
        labels = rng.random((7, frames)) < 0.3
        found = pooled_precision([(each, np.where(each, rng.uniform(0.6, 1, frames), 0.1)) for each in labels])
        assert found.high <= 1


def test_average_precision_of_an_oracle_and_of_nothing():
    labels = np.array([False, True, False])
    perfect = pooled_precision([(labels, labels.astype(float))] * 3)
    assert (perfect.micro, perfect.macro, perfect.low, perfect.high) == (1, 1, 1, 1)
    last = pooled_precision([(np.array([True, False]), np.array([0.1, 0.9]))] * 2)
    assert (last.micro, last.macro, last.low, last.high) == (0.5, 0.5, 0.5, 0.5)
    for videos in ([], [(labels[:0], np.zeros(0))], [(labels[:1], np.ones(1))]):
        nothing = pooled_precision(videos)
        assert (nothing.micro, nothing.macro, nothing.low, nothing.high) == (0, 0, 0, 0)
