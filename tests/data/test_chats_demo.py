"""The built-in conversations: every published shape, pictures and words alone, the same on every machine."""

from __future__ import annotations

import pytest

from prospect.data.chats.demo import chats_demo
from prospect.data.element.rows import ELEMENTS
from prospect.errors import UserError


@pytest.fixture(scope="module")
def data():
    return chats_demo(train=10, val=5, test=5)


def test_shapes_take_turns(data):
    assert data.name == "chats_demo"
    assert not data.findings
    rows = data.facts()["rows"]
    assert rows["train"] == {"text_only": 2, "one_picture": 6, "several_pictures": 2}
    assert rows["val"] == rows["test"] == {"text_only": 1, "one_picture": 3, "several_pictures": 1}
    assert all(sample.turns[-1].text in ELEMENTS for samples in data.splits.values() for sample in samples)


def test_words_alone_are_answered_by_the_question(data):
    sample = data.splits["train"][4]
    asked = sample.turns[0].text
    listed, number = asked.split(":")[0].split(", "), ("first", "second", "third").index(asked.split()[-1].rstrip("?"))
    assert sample.turns[-1].text == listed[number]


def test_the_same_again_and_another_with_another_number(data, tmp_path):
    assert chats_demo(folder=str(tmp_path / "new"), train=10, val=5, test=5).fingerprint == data.fingerprint
    assert chats_demo(train=10, val=5, test=5, seed=1).fingerprint != data.fingerprint


def test_a_count_below_its_least():
    with pytest.raises(UserError, match=r"data\.train=0: must be at least 1"):
        chats_demo(train=0)
