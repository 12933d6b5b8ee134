"""Form and length by hand; both are blind to what is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.conversation.tags import tagged
from prospect.evaluation.rewards import format, length


def test_the_form():
    texts = [tagged("yes"), tagged("yes", "so"), "<answer>yes</answer>", f"{tagged('yes')} {tagged('no')}", "yes", ""]
    assert format(["?"] * 6, texts) == [1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("characters", "score"), [(0, 0), (1, 1), (10, 1), (11, 0.9), (15, 0.5), (20, 0), (21, 0), (5_000_000, 0)]
)
def test_the_length(characters, score):
    assert length(["?"], ["x" * characters], longest=10) == [pytest.approx(score)]


@given(st.text(), st.integers(1, 50))
def test_longer_never_earns_more(text, longest):
    (score,) = length(["?"], [f"x{text}x"], longest=longest)
    (longer,) = length(["?"], [f"x{text}xx"], longest=longest)
    assert 0 <= longer <= score <= 1


def test_blanks_are_nothing_said():
    assert length(["?"], [" \n "]) == [0]
