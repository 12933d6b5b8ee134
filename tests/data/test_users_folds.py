"""Folds of one user's samples, against what must hold whatever they share."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from prospect.data.users.folds import folds, roles


@given(st.integers(3, 8), st.integers(0, 60), st.integers(0, 9))
def test_samples_that_share_nothing_are_dealt_evenly(count, samples, seed):
    dealt = Counter(folds([[n] for n in range(samples)], count, seed))
    assert sum(dealt.values()) == samples
    assert max((dealt[fold] for fold in range(count)), default=0) - min(dealt[fold] for fold in range(count)) <= 1


@given(st.lists(st.sets(st.integers(0, 12), max_size=3), max_size=25), st.integers(3, 6))
def test_what_shares_anything_stays_together(keys, count):
    fold_of = folds(keys, count)
    for one, mine in zip(keys, fold_of, strict=True):
        for other, theirs in zip(keys, fold_of, strict=True):
            assert not (one & other) or mine == theirs


def test_chains_stay_together_too():
    assert len(set(folds([{1, 2}, {3, 4}, {2, 3}], 3))) == 1


def test_the_seed_deals():
    keys = [[n] for n in range(30)]
    assert folds(keys, 5, 0) == folds(keys, 5, 0) != folds(keys, 5, 1)


@given(st.integers(3, 9))
def test_every_fold_is_tested_once_and_never_learnt_from_meanwhile(count):
    told = [roles(fold, count) for fold in range(count)]
    for number in range(count):
        assert Counter(role[number] for role in told) == {"test": 1, "val": 1, "train": count - 2}
    assert all(role[fold] == "test" for fold, role in enumerate(told))
