"""The built-in pairs: every shape, the same on every machine, and nothing but the picture tells who is preferred."""

from __future__ import annotations

from collections import Counter

import pytest

from prospect.data.element.rows import ELEMENTS
from prospect.data.preferences.demo import preferences_demo
from prospect.errors import UserError


@pytest.fixture(scope="module")
def data():
    return preferences_demo(train=80, val=8, test=16)


def test_shapes_take_turns(data):
    assert (data.name, data.task, data.findings) == ("preferences_demo", "preferences", [])
    assert data.facts()["rows"]["train"] == {"text_only": 0, "one_picture": 60, "several_pictures": 20}
    for samples in data.splits.values():
        for sample in samples:
            assert {sample.turns[-1].text, sample.meta["rejected"]} <= set(ELEMENTS)
            assert sample.turns[-1].text != sample.meta["rejected"]


def test_every_pair_of_answers_meets_both_ways_round(data):
    """So a model that does not look, whatever it prefers of two answers, is right half of the time."""
    for samples in data.splits.values():
        met = Counter((sample.turns[-1].text, sample.meta["rejected"]) for sample in samples)
        assert all(count == met[lost, won] for (won, lost), count in met.items())


def test_the_same_again_and_another_with_another_number(data, tmp_path):
    assert preferences_demo(folder=str(tmp_path / "new"), train=80, val=8, test=16).fingerprint == data.fingerprint
    assert preferences_demo(train=80, val=8, test=16, seed=1).fingerprint != data.fingerprint


def test_a_count_below_its_least():
    with pytest.raises(UserError, match=r"data\.train=0: must be at least 1"):
        preferences_demo(train=0)
