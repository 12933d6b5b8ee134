"""Claim: the order is a function of (seed, epoch) alone, and every epoch shows each sample once."""

from __future__ import annotations

from collections import Counter

import pytest

from prospect.conversation.sample import Sample
from prospect.conversation.segments import Encoded
from prospect.training.collate import Item
from prospect.training.schedule import Schedule


def items(labels: str) -> list[Item]:
    return [Item(Sample(str(i), (), {"label": label}), Encoded([], [])) for i, label in enumerate(labels)]


def ids(schedule: Schedule, start: int, stop: int) -> list[str]:
    return [schedule[index].sample.id for index in range(start, stop)]


def test_every_epoch_is_a_new_permutation():
    schedule = Schedule(items("a" * 10), 40, seed=3)
    epochs = [ids(schedule, start, start + 10) for start in range(0, 40, 10)]
    assert all(sorted(epoch, key=int) == [str(i) for i in range(10)] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_the_order_depends_on_seed_and_epoch_alone():
    long, short = Schedule(items("a" * 10), 400, seed=3), Schedule(items("a" * 10), 15, seed=3)
    assert ids(long, 10, 15) == ids(short, 10, 15)
    backwards = [long[index].sample.id for index in reversed(range(40))][::-1]
    assert backwards == ids(Schedule(items("a" * 10), 40, seed=3), 0, 40)
    assert ids(Schedule(items("a" * 10), 10, seed=4), 0, 10) != ids(long, 0, 10)


@pytest.mark.parametrize("labels", ["aaaaaaaab", "aaaabbbc", "abcd"])
def test_balanced_epochs_show_every_class_equally_often(labels):
    data = items(labels)
    schedule = Schedule(data, 1000, seed=0, balanced=True)
    share = Counter(schedule[index].sample.meta["label"] for index in range(1000))
    classes = len(set(labels))
    assert all(abs(count / 1000 - 1 / classes) < 0.06 for count in share.values())
    assert {schedule[index].sample.id for index in range(1000)} == {item.sample.id for item in data}
