"""Claims: every number equals a count by hand; an oracle scores 1; an unreadable answer is wrong and counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.evaluation.classification import confusion, metrics

LABELS = ("water", "land", "fire")
pairs = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from([*LABELS, None])), min_size=1, max_size=40)


@given(pairs)
def test_equals_a_count_by_hand(rows):
    truth, guesses = zip(*rows, strict=True)
    found = metrics(confusion(truth, guesses, LABELS), LABELS)
    assert found["accuracy"] == pytest.approx(sum(t == g for t, g in rows) / len(rows))
    assert found["unreadable"] == pytest.approx(sum(g is None for g in guesses) / len(rows))
    scores = []
    for label in LABELS:
        tp = sum(t == g == label for t, g in rows)
        fp = sum(g == label != t for t, g in rows)
        fn = sum(t == label != g for t, g in rows)
        f1 = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0
        assert found[f"class/{label}/f1"] == pytest.approx(f1)
        assert found[f"class/{label}/precision"] == pytest.approx(tp / (tp + fp) if tp + fp else 0.0)
        assert found[f"class/{label}/recall"] == pytest.approx(tp / (tp + fn) if tp + fn else 0.0)
        assert found[f"class/{label}/support"] == tp + fn
        if tp + fp + fn:
            scores.append(f1)
    assert found["macro_f1"] == pytest.approx(sum(scores) / len(scores))


def test_an_oracle_scores_one_and_silence_zero():
    truth = ["water", "fire", "fire"]
    assert metrics(confusion(truth, truth, LABELS), LABELS)["macro_f1"] == 1.0
    silent = metrics(confusion(truth, [None] * 3, LABELS), LABELS)
    assert (silent["accuracy"], silent["macro_f1"], silent["unreadable"]) == (0.0, 0.0, 1.0)


def test_an_empty_split_has_defined_numbers():
    found = metrics(confusion([], [], LABELS), LABELS)
    assert found["accuracy"] == found["macro_f1"] == 0.0
    assert found["samples"] == 0
