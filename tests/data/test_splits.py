"""A split depends on an id and a seed, on nothing else."""

from __future__ import annotations

import pytest

from prospect.data.splits import share_error, split_of
from prospect.errors import UserError

IDS = [f"image_{n}" for n in range(4000)]


def test_shares_are_met():
    drawn = [split_of(name, 0, 0.1, 0.2) for name in IDS]
    assert drawn.count("val") / len(IDS) == pytest.approx(0.1, abs=0.02)
    assert drawn.count("test") / len(IDS) == pytest.approx(0.2, abs=0.02)


def test_another_seed_draws_another_split():
    assert [split_of(name, 0, 0.3, 0.3) for name in IDS] != [split_of(name, 1, 0.3, 0.3) for name in IDS]


def test_a_larger_validation_share_leaves_the_test_split_alone():
    tested = {name for name in IDS if split_of(name, 0, 0.1, 0.2) == "test"}
    assert tested == {name for name in IDS if split_of(name, 0, 0.4, 0.2) == "test"}


def test_the_draw_is_the_same_on_every_machine():
    drawn = [split_of(name, 0, 0.3, 0.3) for name in IDS[:8]]
    assert drawn == ["train", "val", *["train"] * 6]


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.1), (0.5, 0.5), (0.1, 1.0)])
def test_shares_that_leave_nothing_to_train_on_are_refused(val, test):
    with pytest.raises(UserError, match="val_share"):
        share_error(val, test)
