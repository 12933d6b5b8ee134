"""Claim: the order is a function of (seed, phase, epoch) alone, and every epoch shows each sample once."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.conversation.sample import Sample
from prospect.conversation.segments import Encoded
from prospect.training.collate import Item
from prospect.training.schedule import WINDOW, Phase, Schedule, Sizes


def items(labels: str) -> list[Item]:
    return [Item(Sample(str(i), (), {"label": label}), Encoded([], [])) for i, label in enumerate(labels)]


def of_lengths(lengths: list[int]) -> list[Item]:
    return [Item(Sample(str(i), ()), Encoded([0] * n, [None] * n)) for i, n in enumerate(lengths)]


def draws(phase: Phase, batches: int) -> list[tuple[str, int | None]]:
    return [(item.sample.id, item.epoch) for index in range(batches) for item in phase[index]]


def ids(phase: Phase, start: int, stop: int) -> list[str]:
    return [name for name, _ in draws(phase, -(-stop // phase.sizes.batch))[start:stop]]


ONE = Sizes(1, 1)


def test_every_epoch_is_a_new_permutation():
    phase = Phase(items("a" * 10), ONE, seed=3)
    epochs = [ids(phase, start, start + 10) for start in range(0, 40, 10)]
    assert all(sorted(epoch, key=int) == [str(i) for i in range(10)] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert [epoch for _, epoch in draws(phase, 25)] == [0] * 10 + [1] * 10 + [2] * 5


def test_the_order_depends_on_seed_phase_and_epoch_alone():
    phase = Phase(items("a" * 10), ONE, seed=3)
    backwards = [phase[index][0].sample.id for index in reversed(range(40))][::-1]
    assert backwards == ids(Phase(items("a" * 10), ONE, seed=3), 0, 40)
    assert ids(Phase(items("a" * 10), ONE, seed=4), 0, 10) != ids(phase, 0, 10)
    assert ids(Phase(items("a" * 10), ONE, seed=3, number=1), 0, 10) != ids(phase, 0, 10)


@pytest.mark.parametrize("grouped", [False, True])
def test_a_step_holds_the_same_samples_however_it_is_cut(grouped):
    lengths = [3 * i % 17 + 1 for i in range(23)]
    ways = [Phase(of_lengths(lengths), Sizes(size, 4 // size, grouped=grouped), seed=1) for size in (4, 2, 1)]
    whole, *cut = [draws(way, 40 * 4 // way.sizes.batch) for way in ways]
    assert cut == [whole, whole]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(60, 200), st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_a_token_budget_holds_and_loses_nothing(lengths, tokens, seed):
    phase = Phase(of_lengths(lengths), Sizes(2, 2, tokens=tokens), seed)
    windows = [phase.window(number) for number in range(3)]
    for batch in (batch for window in windows for batch in window):
        assert len(batch) * max(lengths[item] for _, item in batch) <= tokens
    drawn = sorted(draw for window in windows for batch in window for draw in batch)
    epochs, rest = divmod(3 * phase.sizes.step * WINDOW, len(lengths))
    count = Counter(epoch for epoch, _ in drawn)
    assert [count[epoch] for epoch in range(epochs)] == [len(lengths)] * epochs
    assert len(set(drawn)) == len(drawn) == epochs * len(lengths) + rest


def test_random_access_and_order_of_access_agree():
    phase, other = (Phase(of_lengths(list(range(1, 40))), Sizes(3, 2, tokens=90), seed=5) for _ in range(2))
    last = [item.sample.id for item in phase[200]]
    assert [[i.sample.id for i in other[n]] for n in range(201)][200] == last


def test_grouping_keeps_padding_small():
    lengths = [20 + 7 * i % 400 for i in range(600)]
    phase = Phase(of_lengths(lengths), Sizes(8, 1, grouped=True), seed=0)
    batches = [[len(item.encoded) for item in phase[index]] for index in range(300)]
    assert sum(map(sum, batches)) / sum(len(batch) * max(batch) for batch in batches) > 0.95


def test_phases_follow_each_other():
    first, then = Phase(items("ab"), ONE, 0, 1), Phase(items("abcd"), ONE, 0)
    schedule = Schedule([(first, 3), (then, 10)])
    assert len(schedule) == 10
    seen = [schedule[index][0].sample.id for index in range(10)]
    assert seen == ids(first, 0, 3) + ids(then, 0, 7)


@pytest.mark.parametrize("labels", ["aaaaaaaab", "aaaabbbc", "abcd"])
def test_balanced_epochs_show_every_class_equally_often(labels):
    data = items(labels)
    phase = Phase(data, ONE, seed=0, balanced=True)
    drawn = [phase[index][0].sample for index in range(1000)]
    share = Counter(sample.meta["label"] for sample in drawn)
    classes = len(set(labels))
    assert all(abs(count / 1000 - 1 / classes) < 0.06 for count in share.values())
    assert {sample.id for sample in drawn} == {item.sample.id for item in data}
