"""The answer of a completion is read in one way, and only one form is the right one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.conversation.tags import TAGS, answer_of, tagged, well_formed

ANY = st.text(st.characters(exclude_categories=()), max_size=20)
PIECES = st.lists(st.sampled_from([*TAGS, " ", "\n", "a", "b c", "<", ">", "\x00", "é"]), max_size=9).map("".join)


@pytest.mark.parametrize(
    ("text", "answer", "is_well_formed"),
    [
        ("<think>two dots</think><answer>2</answer>", "2", True),
        (" \n<think></think>\n\n<answer> 2\n</answer> \n", "2", True),
        ("<think>a < b > c</think><answer><b>2</b></answer>", "<b>2</b>", True),
        ("<answer>2</answer>", "2", False),
        ("<answer>2</answer><think>so</think>", "2", False),
        ("Well: <think></think><answer>2</answer>", "2", False),
        ("<think></think>so<answer>2</answer>", "2", False),
        ("<think></think><answer>2</answer>.", "2", False),
        ("<think></think><answer>2</answer><answer>3</answer>", None, False),
        ("<think></think><answer>2</answer><answer>2</answer>", None, False),
        ("<think></think><answer><answer>2</answer></answer>", None, False),
        ("<think><answer>2</answer></think>", "2", False),
        ("<think><answer></think>2</answer>", "</think>2", False),
        ("<think><think></think></think><answer>2</answer>", "2", False),
        ("<think></think></answer>2<answer>", None, False),
        ("<think></think><answer>2", None, False),
        ("<think></think><answer> </answer>", None, False),
        ("<THINK></THINK><ANSWER>2</ANSWER>", None, False),
        ("＜answer＞2＜/answer＞", None, False),
        ("<answer >2</answer >", None, False),
        ("2", None, False),
        ("", None, False),
    ],
)
def test_by_hand(text, answer, is_well_formed):
    assert answer_of(text) == answer
    assert well_formed(text) is is_well_formed


@given(PIECES)
def test_the_form_is_that_of_one_pattern(text):
    inner = r"((?:(?!</?(?:think|answer)>).)*)"
    pattern = rf"\s*<think>{inner}</think>\s*<answer>{inner}</answer>\s*"
    found = re.fullmatch(pattern, text, re.S)
    assert well_formed(text) == bool(found and found[2].strip())
    if well_formed(text):
        assert answer_of(text) == found[2].strip()


@given(ANY, ANY)
def test_what_is_written_is_read(answer, thought):
    text = tagged(answer, thought)
    free = not any(tag in answer + thought for tag in TAGS)
    if free:
        assert answer_of(text) == (answer.strip() or None)
        assert well_formed(text) == bool(answer.strip())


def test_megabytes_take_no_time():
    for text in ("<think>" * 400_000, "<answer>" + "x" * 3_000_000, "</answer><answer>" * 200_000, "\x00" * 3_000_000):
        assert answer_of(text) is None
        assert not well_formed(text)
    assert answer_of(tagged("2", "x" * 3_000_000)) == "2"
