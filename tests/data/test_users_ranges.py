"""Users by their numbers, as people and command lines spell them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.data.users.ranges import assigned, told, users_of
from prospect.errors import UserError


@pytest.mark.parametrize(
    ("spelt", "meant"),
    [
        ("1-3", {1, 2, 3}),
        (7, {7}),
        ("7", {7}),
        ("1-2,9", {1, 2, 9}),
        (["1-2", 9], {1, 2, 9}),
        (" 4 - 5 ", {4, 5}),
        (None, set()),
        ([], set()),
    ],
)
def test_spellings(spelt, meant):
    assert users_of(spelt, "users") == meant


@pytest.mark.parametrize("spelt", ["3-1", "one", "1-", "-3", "1..3", "1-2-3", [None], "", 1.5])
def test_what_is_no_range(spelt):
    with pytest.raises(UserError, match=r"data\.users="):
        users_of(spelt, "data.users")


@given(st.sets(st.integers(0, 40), min_size=1))
def test_told_is_read_back(users):
    assert users_of(told(users), "users") == users


def test_told_is_short():
    assert told({1, 2, 3, 5}) == "1-3, 5"
    assert told([]) == "none"


def test_nobody_is_in_two_splits():
    assert assigned({"train": "3-4", "val": 5, "test": None}) == {3: "train", 4: "train", 5: "val"}
    with pytest.raises(UserError, match=r"user 4-5 is in data\.train_users too"):
        assigned({"train": "1-5", "test": "4-9"})
