"""Answers are read back exactly, and prompts that favour their own answer are seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.data.labels import gives_away, label_of, nearest

LABELS = ("water", "land", "fire", "wood", "metal")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("fire", "fire"),
        (" Fire.\n", "fire"),
        ("It is WOOD!", "wood"),
        ("fire: Flames rise above the water", "fire"),
        ("The answer: wood", "wood"),
        ("Note: fire or water: fire", None),
        ("fire or water", None),
        ("fireplace", None),
        ("an island", None),
        ("wooden", None),
        ("", None),
    ],
)
def test_one_whole_word_or_none(text, label):
    assert label_of(text, LABELS) == label


@given(st.sampled_from(LABELS), st.text())
def test_a_descriptive_answer_is_read_by_its_head(label, explanation):
    assert label_of(f"{label}: {explanation}", LABELS) == label


@given(st.lists(st.sampled_from(LABELS), min_size=2, unique=True), st.sampled_from([" ", ", ", " or ", "\n"]))
def test_several_labels_are_no_answer(named, glue):
    assert label_of(glue.join(named), LABELS) is None


def test_a_label_inside_another_is_a_word_of_its_own():
    assert label_of("red wine", ("red", "red wine")) is None  # both are named: nobody can say which is meant


@pytest.mark.parametrize(
    ("prompt", "leaks"),
    [
        ("Which of water, land, fire, wood, metal?", False),
        ("Which of water, land, fire, wood, metal? A fire burns.", True),
        ("A fireplace", True),
        ("No label at all", False),
        ("A campfire by the lake", False),  # a word that ends in the label is another word
        ("The water is calm", False),
    ],
)
def test_a_prompt_that_names_its_label_more_often_than_another_gives_it_away(prompt, leaks):
    assert gives_away(prompt, "fire", LABELS) is leaks


def test_nearest():
    assert nearest("Wter", LABELS) == "water"
    assert nearest("xyzzy", LABELS) is None
