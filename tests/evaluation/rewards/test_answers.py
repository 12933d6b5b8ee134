"""Right answers by hand, every gold answer of a row, and nothing that a completion may hold breaks or earns more."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.conversation.tags import TAGS, tagged
from prospect.errors import UserError
from prospect.evaluation.matching import normalised as words_of
from prospect.evaluation.rewards import choice, exact, normalised, number, token_f1
from prospect.evaluation.rewards.answers import choice_of, golds, number_of, texts

ALL = (exact, normalised, token_f1, number, choice)


def one(reward, answer, gold, answer_format="think", **columns):
    text = tagged(answer) if answer_format == "think" else answer
    columns = {name: [cell] for name, cell in columns.items()}
    (score,) = reward(["?"], [text], None, answer_format=answer_format, answer=[gold], **columns)
    return score


@pytest.mark.parametrize(
    ("reward", "answer", "gold", "score"),
    [
        (exact, "yes", "yes", 1),
        (exact, " yes\n", "yes ", 1),
        (exact, "Yes", "yes", 0),
        (exact, "yes.", "yes", 0),
        (normalised, "Yes.", "yes", 1),
        (normalised, "  A red   disc!", "a red disc", 1),
        (normalised, "ＹＥＳ", "yes", 1),
        (normalised, "1.5", "15", 0),
        (normalised, "-3", "3", 0),
        (normalised, "yes or no", "yes", 0),
        (token_f1, "red disc", "a red disc", 0.8),
        (token_f1, "disc disc", "disc", 2 / 3),
        (token_f1, "blue", "red disc", 0),
        (token_f1, "The RED disc.", "the red disc", 1),
        (number, "3", "3.0", 1),
        (number, "1,000 cells", 1000, 1),
        (number, "about 3 cells", "3", 1),
        (number, "3 or 4", "3", 0),
        (number, "30", "3", 0),
        (number, "-3", "3", 0),
        (number, "−3", "-3", 1),
        (number, "10²", "102", 0),
        (number, "three", "3", 0),
        (choice, "B", "b", 1),
        (choice, "(b)", "B.", 1),
        (choice, "A or B", "B", 0),
        (choice, "A", "B", 0),
        (choice, "Because", "B", 0),
    ],
)
def test_by_hand(reward, answer, gold, score):
    assert one(reward, answer, gold) == pytest.approx(score)


def test_the_choices_of_a_row():
    discs = ["red disc", "blue disc"]
    for answer, score in [
        ("B", 1),
        ("blue disc", 1),
        ("Blue disc.", 1),
        ("B. blue disc", 1),
        ("b) Blue disc", 1),
        ("A. blue disc", 0),
        ("A", 0),
        ("red disc", 0),
        ("C", 0),
        ("disc", 0),
        ("A. red disc B. blue disc", 0),
    ]:
        assert one(choice, answer, "blue disc", choices=discs) == score, answer
    assert choice_of("A", ["B", "A"]) is None  # the letter of one and the text of the other
    assert choice_of("same", ["same", "same"]) is None
    assert choice_of("Z", ["x"]) is None


def test_every_gold_answer_of_a_row_counts():
    columns = {"answer": ["yes", "no"], "answers": [["yes", "Yes, two"], ["no"]]}
    given = [tagged("yes two"), tagged("yes")]
    assert normalised(["?", "?"], given, **columns) == [1, 0]


def test_answers_that_arrive_as_lists():
    """Compared as texts these three would score 0, 0, 1."""
    gold = [["disc"], ["red disc", "disc"], "disc"]
    assert exact(["?"] * 3, [tagged("disc")] * 3, answer=gold) == [1, 1, 1]


def test_a_plain_completion_is_its_own_answer():
    assert one(exact, " yes ", "yes", "plain") == 1
    assert one(exact, tagged("yes"), "yes", "plain") == 0
    assert exact(["?"], ["yes"], answer=["yes"]) == [0]


def test_without_gold_nothing_can_be_said():
    for reward in ALL:
        assert reward(["?"], [tagged("yes")], answer=[None]) == [None]
        assert reward(["?"], [tagged("yes")]) == [None]


def test_cells():
    assert texts(["a", 3, 2.5, [" b "], None, ""]) == ["a", "3", "2.5", " b "]
    assert golds({"answer": ["a"], "answers": [["a", "b"]]}, 1) == [["a", "b"]]
    for wrong in ({"text": "a"}, True, b"a", [{}]):
        with pytest.raises(UserError, match="an answer is a text"):
            texts(wrong)


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("+3.50", "3.5"), ("12,345.5", "12345.5"), ("1,2", None), ("3cm", None), ("3-4", None), ("", None)],
)
def test_numbers(text, value):
    assert number_of(text) == (None if value is None else Decimal(value))


@given(
    st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9)
)
def test_a_number_is_its_own_value(value):
    if len(str(value)) <= 40:
        assert number_of(str(value)) == value
        assert number_of(f"It is {value}.") == value


WORDS = st.text(st.characters(exclude_categories=()), max_size=12)
HOSTILE = st.lists(
    st.sampled_from([*TAGS, "yes", "YES.", "3", "B", "\x00", "\ud800", "\u202e", " "]) | WORDS, max_size=8
)


@given(HOSTILE.map("".join), st.sampled_from(["yes", "3", "B"]))
def test_no_completion_earns_more_than_the_rule(text, gold):
    """An oracle of its own: one pair of answer tags, and what stands between them."""
    opens, closes = text.split("<answer>"), text.split("</answer>")
    inside = (
        opens[1].split("</answer>")[0].strip() if len(opens) == len(closes) == 2 and "</answer>" in opens[1] else None
    )
    columns = {"answer": [gold]}
    for reward in ALL:
        (score,) = reward(["?"], [text], **columns)
        assert 0 <= score <= 1
        if not inside:
            assert score == 0
    assert exact(["?"], [text], **columns) == [float(inside == gold)]
    assert normalised(["?"], [text], **columns) == [float(inside is not None and words_of(inside) == gold.casefold())]


@pytest.mark.parametrize("reward", ALL)
def test_megabytes(reward):
    for text in ("1" * 10**6, "1," * 10**5, "A. " * 10**5, "<answer>" * 10**5, "\x00" * 10**6):
        assert reward(["?"], [tagged(text)], answer=["3"], choices=[["3", "4"]]) == [0]
