"""Answers against the truth: 1. what holds one point is read, and nothing else; 2. marks within numbers count."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.evaluation.matching import Match, match, normalised, point_of, token_f1

ONE = [
    "(12, 34)",
    "[12, 34]",
    "(12,34)",
    "12 34",
    "12, 34",
    "click(12, 34)",
    "CLICK (12, 34).",
    "<point>12 34</point>",
    '<point x="12" y="34">the button</point>',
    "<|box_start|>(12,34)<|box_end|>",
    '{"point_2d": [12, 34], "label": "start"}',
    '{"x": 12, "y": 34}',
    "x=12, y=34",
    "x: 12; y: 34",
    "The button is at (12.0, 34.0), I think.",
    "(12, 34)\n",
]
NONE = [
    "",
    "start",
    "12",
    "(12)",
    "(12, 34) or (56, 78)",
    "(12, 34) and 5",
    "[12, 34, 56, 78]",
    "step 2: (12, 34)",
    "12 of 34",
    "a1, b2",
    "1.2.3, 4",
    "(12, )",
    "in 2024 there were 30",
    "(١, x)",
    "nan, inf",
]


@pytest.mark.parametrize("text", ONE)
def test_one_point(text):
    assert point_of(text) == (12.0, 34.0)


@pytest.mark.parametrize("text", NONE)
def test_no_point(text):
    assert point_of(text) is None


@given(st.floats(-1e4, 1e4).map(lambda x: round(x, 2)), st.floats(-1e4, 1e4).map(lambda x: round(x, 2)))
def test_numbers_of_any_kind(x, y):
    assert point_of(f"({x:.2f}, {y:.2f})") == (x, y)


@pytest.mark.parametrize("answer", ["", "nowhere", "(12, 34) (56, 78)", "(0", "12"])
def test_what_cannot_be_read_is_never_the_origin(answer):
    """An unparsable answer to (0, 0) would be a perfect click if it were taken for one."""
    found = match(answer, "(0, 0)")
    assert found == Match(exact=False, normalised=False, has_point=True, distance=None)
    assert found.unparsable


@given(*[st.integers(0, 1000)] * 4)
def test_distance(x, y, u, v):
    found = match(f"({x}, {y})", f"[{u}, {v}]")
    assert found.distance == math.hypot(x - u, y - v)
    assert found.exact is False
    assert found.normalised == ((x, y) == (u, v))
    assert not found.unparsable


def test_words_have_no_distance_whatever_is_answered():
    assert match("(1, 2)", "Red.") == Match(exact=False, normalised=False)
    assert match(" red", "Red.") == Match(exact=False, normalised=True)
    assert match("Red. ", "Red.") == Match(exact=True, normalised=True)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("The Red, button!", "the red button", True),
        ("ＲＥＤ", "red", True),
        ("“red”", "red", True),
        ("straße", "STRASSE", True),
        ("1.5", "15", False),
        ("-3", "3", False),
        ("10:30", "1030", False),
        ("1/2", "12", False),
        ("1,000", "1000", False),
        ("12.", "12", True),
        ("x-ray", "x ray", True),
        ("C++", "C", False),
        ("?", "!", False),
        ("", "?", False),
        ("水", "火", False),
        ("red", "blue", False),
    ],
)
def test_normalised(one, other, same):
    assert (normalised(one) == normalised(other)) is same


@given(st.text())
def test_normalising_twice_changes_nothing_more(text):
    assert normalised(normalised(text)) == normalised(text)


WORDS = st.lists(st.sampled_from(["red", "Red", "disc", "a", "1.5", "."]), max_size=6)


@given(WORDS, WORDS)
def test_shared_words(ours, theirs):
    """Pairs are struck out one by one."""
    answer, truth = (normalised(" ".join(words)).split() for words in (ours, theirs))
    left = list(truth)
    shared = sum(1 for word in answer if word in left and not left.remove(word))
    expected = 2 * shared / (len(answer) + len(truth)) if answer and truth else float(answer == truth)
    assert token_f1(" ".join(ours), " ".join(theirs)) == pytest.approx(expected)
    assert token_f1(" ".join(ours), " ".join(ours)) == 1
