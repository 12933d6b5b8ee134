"""Claims: rates, average precision and the best threshold equal brute force; an oracle scores 1, silence 0."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.evaluation.decisions import average_precision, best_threshold, rates, recall_by_kind

# few different scores, so that many are equal
cases = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=30)


def arrays(case) -> tuple[np.ndarray, np.ndarray]:
    return np.array([label for label, _ in case], bool), np.array([score / 6 for _, score in case])


def f1(labels, yes) -> float:
    hit = sum(a and b for a, b in zip(labels, yes, strict=True))
    return 2 * hit / (sum(labels) + sum(yes)) if sum(labels) + sum(yes) else 0.0


@given(cases)
@settings(max_examples=100, deadline=None)
def test_rates_equal_counting(case):
    labels, scores = arrays(case)
    yes = scores > 0.5
    found = rates(labels, yes)
    pairs = list(zip(labels.tolist(), yes.tolist(), strict=True))
    assert found["f1"] == pytest.approx(f1(labels, yes))
    assert found["precision"] == pytest.approx(np.mean([a for a, b in pairs if b]) if yes.any() else 0)
    assert found["recall"] == pytest.approx(np.mean([b for a, b in pairs if a]) if labels.any() else 0)
    assert found["false_alarms"] == pytest.approx(np.mean([b for a, b in pairs if not a]) if (~labels).any() else 0)
    sides = [np.mean([a == b for a, b in pairs if a is side]) for side in (True, False) if side in labels]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(sides)), "of the sides that exist"


@given(cases)
@settings(max_examples=100, deadline=None)
def test_average_precision_equals_a_walk_over_thresholds(case):
    labels, scores = arrays(case)
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        yes = scores >= threshold
        recall = labels[yes].sum() / labels.sum() if labels.any() else 0.0
        total, before = total + (recall - before) * labels[yes].mean(), recall
    assert average_precision(labels, scores) == pytest.approx(total)


@given(cases)
@settings(max_examples=100, deadline=None)
def test_no_threshold_beats_the_chosen_one(case):
    labels, scores = arrays(case)
    chosen = best_threshold(labels, scores)
    best = max(f1(labels, scores > threshold) for threshold in [0, *scores])
    if labels.any():
        assert f1(labels, scores > chosen) == pytest.approx(best)
    else:
        assert not (scores > chosen).any()


def test_the_threshold_is_the_middle_of_its_plateau():
    labels, scores = np.array([False, False, True, True]), np.array([0.01, 0.11, 0.91, 0.99])
    assert best_threshold(labels, scores) == pytest.approx(0.51)


def test_oracle_and_silence():
    labels = np.array([True, False, True])
    assert rates(labels, labels) == {
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
        "balanced_accuracy": 1.0,
        "false_alarms": 0.0,
    }
    assert average_precision(labels, labels.astype(float)) == 1
    silent = rates(labels, np.zeros(3, bool))
    assert (silent["precision"], silent["recall"], silent["f1"]) == (0, 0, 0)


def test_recall_by_kind_counts_every_kind_of_its_own_decision():
    kinds = [("dst/complete", "dst/start", "speak/good"), (), ("dst/start",), ("speak/good",)]
    yes = np.array([True, True, False, False])
    assert recall_by_kind(kinds, yes, "dst") == {"complete": (1, 1), "start": (1, 2)}
    assert recall_by_kind(kinds, yes, "speak") == {"good": (1, 2)}
