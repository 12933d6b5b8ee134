"""What happens in the assembly world: tasks, splits, and a plot that does not depend on the clock."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.data.assembly.presets import PRESETS, SPLITS
from prospect.data.assembly.story import PARTS, Story, composition, split_of, story, tell
from prospect.errors import UserError


@given(st.sampled_from(SPLITS), st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_a_task_belongs_to_one_split_in_whatever_order_its_parts_are_listed(split, seed, rng):
    parts = list(composition(split, Random(seed)))
    assert 3 <= len(set(parts)) == len(parts) <= 7
    rng.shuffle(parts)
    assert split_of(parts) == split


def test_splits_share_no_task():
    tasks = {split: {frozenset(story(0, split, index).parts) for index in range(300)} for split in SPLITS}
    assert not tasks["train"] & tasks["val"]
    assert not tasks["train"] & tasks["test"]
    assert not tasks["val"] & tasks["test"]
    assert all(len(found) > 290 for found in tasks.values())
    assert {part for task in tasks["train"] for part in task} == set(PARTS)


@pytest.mark.parametrize("preset", ["easy", "hard"])
def test_what_happens_does_not_depend_on_the_clock(preset):
    def told(clock: int) -> Story:
        return tell(PARTS[3:9], PRESETS[preset], Random(7), Random(clock), Random(1))

    one, other = told(1), told(2)
    assert [(e.kind, e.part, e.first, e.mended) for e in one.events] == [
        (e.kind, e.part, e.first, e.mended) for e in other.events
    ]
    assert [e.frame for e in one.events] != [e.frame for e in other.events]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_step_starts_and_completes_once_and_no_frame_has_two_utterances(preset):
    for index in range(40 if preset == "long" else 200):
        told = story(0, "train", index, preset)
        starts = [e.part for e in told.events if e.kind == "start"]
        assert starts == [e.part for e in told.events if e.kind == "complete"]
        assert sorted(p.name for p in starts) == sorted(p.name for p in told.parts)
        spoken = [e.frame for e in told.events if e.kind not in ("start", "complete")]
        assert len(spoken) == len(set(spoken))
        assert [e.kind for e in told.events].count("end") == 1
        assert all(0 < e.frame < len(told.scenes) for e in told.events)


def test_easy_steps_follow_the_recipe_and_hard_ones_need_not():
    def in_order(preset: str) -> list[bool]:
        stories = [story(0, "train", index, preset) for index in range(100)]
        return [[e.part for e in told.events if e.kind == "start"] == list(told.parts) for told in stories]

    assert all(in_order("easy"))
    assert sum(in_order("hard")) < 20


def test_a_hard_world_has_wrong_parts_and_several_transitions_in_one_frame():
    stories = [story(0, "train", index, "hard") for index in range(100)]
    wrong = [(told, e.part) for told in stories for e in told.events if e.kind == "wrong"]
    assert len(wrong) > 30
    assert all(part not in told.parts for told, part in wrong)
    frames = [[e.frame for e in told.events if e.kind in ("start", "complete")] for told in stories]
    assert sum(len(found) - len(set(found)) for found in frames) > 30


def test_an_unknown_preset_or_split_is_refused_by_name():
    with pytest.raises(UserError, match=r"data.preset=odd: accepted are easy, default, hard, long"):
        story(0, "train", 0, "odd")
    with pytest.raises(UserError, match="split dev"):
        story(0, "dev", 0)
