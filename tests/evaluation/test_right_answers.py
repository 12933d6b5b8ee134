"""Answers against sets of right ones: by hand, against naive counting, and that no order or copy of a set matters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.conversation.tags import tagged
from prospect.evaluation.pooling import micro
from prospect.evaluation.right_answers import counts, judged, rates, yes_no

WORDS = st.lists(st.sampled_from(["liver", "cells", "the", "red", "no", "yes"]), max_size=4).map(" ".join)
SETS = st.lists(WORDS.filter(bool), min_size=1, max_size=3)


@pytest.mark.parametrize(
    ("text", "right", "exact", "alike", "f1"),
    [
        ("liver cells", ["liver cells"], True, True, 1),
        (" liver cells\n", ["blood", "liver cells"], True, True, 1),
        ("Liver cells.", ["liver cells"], False, True, 1),
        ("liver", ["liver cells"], False, False, 2 / 3),
        ("the red liver", ["liver cells", "red blood"], False, False, 2 / 5),
        ("cells cells", ["cells"], False, False, 2 / 3),  # a word said twice is right once
        ("1.5", ["15"], False, False, 0),
        ("", ["liver"], False, False, 0),
    ],
)
def test_open_answers_by_hand(text, right, exact, alike, f1):
    one = judged(text, right, "open", think=False)
    assert (one.exact, one.normalised, one.right) == (exact, alike, alike)
    assert one.token_f1 == pytest.approx(f1)


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        *(("yes", "yes"), ("No.", "no"), ("Yes, there is one", "yes"), ("no evidence of it", "no")),
        *(("not", None), ("there is no", None), ("nothing", None), ("yesterday", None), ("", None)),
    ],
)
def test_yes_and_no_are_read_by_the_first_word(text, reading):
    assert yes_no(text) == reading
    assert judged(text, ["Yes"], "yes_no", think=False).right == (reading == "yes")
    assert judged(text, ["no", "Yes"], "yes_no", think=False).right == (reading is not None)


@pytest.mark.parametrize(
    "text",
    [
        "red",
        "the answer is red",
        "<answer>red",
        "red</answer>",
        "<answer></answer>",
        "<answer>red</answer><answer>red</answer>",
    ],
)
@pytest.mark.parametrize("kind", ["open", "yes_no"])
def test_an_answer_without_its_tags_is_unparsable_and_never_right(text, kind):
    for right in (["red"], [text], ["yes"]):
        one = judged(text, right, kind, think=True)
        assert (one.answer, one.right, one.exact, one.normalised, one.token_f1) == (None, False, False, False, 0)
        assert not one.well_formed


def test_an_answer_in_tags_counts_without_a_thought_but_is_not_well_formed():
    one = judged("I see. <answer>Red</answer>", ["red"], "open", think=True)
    assert (one.answer, one.right, one.exact, one.well_formed) == ("Red", True, False, False)
    assert judged(tagged("red", "a thought"), ["red"], "open", think=True).well_formed


@given(WORDS, SETS, st.randoms())
def test_a_set_has_no_order_and_no_copies(text, right, rng):
    mixed = [*right, rng.choice(right)]
    rng.shuffle(mixed)
    for kind in ("open", "yes_no"):
        assert judged(text, right, kind, False) == judged(text, mixed, kind, False)
        assert judged(tagged(text), right, kind, True).right == judged(text, right, kind, False).right


@given(WORDS, SETS, WORDS.filter(bool))
def test_another_right_answer_takes_nothing_away(text, right, more):
    few, many = (judged(text, each, "open", False) for each in (right, [*right, more]))
    assert few.right <= many.right
    assert few.exact <= many.exact
    assert few.token_f1 <= many.token_f1


ANSWERS = st.lists(st.tuples(WORDS, SETS, st.sampled_from(["open", "yes_no"]), st.booleans()), min_size=1, max_size=8)


@given(st.lists(ANSWERS, min_size=1, max_size=4))
def test_rates_are_those_of_all_answers_counted_one_by_one(pictures):
    found = [
        [judged(tagged(t) if tags else t, right, kind, True) for t, right, kind, tags in each] for each in pictures
    ]
    every = [one for group in found for one in group]
    closed, free = ([one for one in every if one.kind == kind] for kind in ("yes_no", "open"))

    def mean(values):
        return sum(values) / len(values) if values else 0

    assert micro([counts(group) for group in found], rates) == pytest.approx(
        {
            "accuracy": mean([one.right for one in every]),
            "format": mean([one.well_formed for one in every]),
            "unparsable": mean([one.answer is None for one in every]),
            "yes_no/accuracy": mean([one.right for one in closed]),
            "open/exact": mean([one.exact for one in free]),
            "open/normalised": mean([one.normalised for one in free]),
            "open/token_f1": mean([one.token_f1 for one in free]),
        }
    )
