"""Claims: transitions are paired as trying everything pairs them; an oracle scores 1, silence 0 where it must; every
number equals counting."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from math import isfinite

import pytest

from prospect.conversation.dst import IllegalTransition, state_of
from prospect.evaluation.pooling import micro, pooled
from prospect.evaluation.states import Track, aligned, counts, lateness, rates, silenced, timing, unrolled

STEPS = ("S1", "S2")
WINDOW = (-4, 8)
CHANGES = [(3, "S1", "start"), (6, "S1", "complete"), (6, "S2", "start"), (9, "S2", "complete")]


def track(happened, said, frames=range(2, 12), start=None):
    begin = state_of(STEPS, start)
    return Track(begin, unrolled(begin, happened, frames), unrolled(begin, said, frames), happened, said, updates=1)


def test_states_behind_each_frame():
    states = unrolled(state_of(STEPS), CHANGES, range(2, 12))
    assert [state["S1"] for state in states] == ["not_started"] + ["in_progress"] * 3 + ["completed"] * 6
    assert [state["S2"] for state in states] == ["not_started"] * 4 + ["in_progress"] * 3 + ["completed"] * 3
    with pytest.raises(IllegalTransition):
        unrolled(state_of(STEPS), [(3, "S1", "complete")], range(2, 12))
    with pytest.raises(AssertionError, match="outside"):
        unrolled(state_of(STEPS), CHANGES, range(2, 9))


def test_an_oracle_scores_one():
    videos = [counts(track(CHANGES, CHANGES), WINDOW), counts(track([], []), WINDOW)]
    for name, value in pooled(videos, rates).items():
        wanted = 0 if name in ("illegal", "unparsable") else 1
        assert (value.micro, value.macro, value.low, value.high) == (wanted,) * 4, name
    assert timing([track(CHANGES, CHANGES)], 2) == {"timing/median": 0, "timing/p90": 0, "timing/transitions": 4}


def test_silence():
    spoken = replace(track(CHANGES, CHANGES), illegal=2, updates=3, unparsable=1)
    silent = silenced(spoken)
    assert (silent.said, silent.illegal, silent.updates, silent.unparsable) == ((), 0, 0, 0)
    found = micro([counts(silent, WINDOW)], rates)
    assert {name for name, value in found.items() if value} == {"joint_goal_accuracy", "step_accuracy"}
    assert found["joint_goal_accuracy"] == 1 / 10  # until something happens
    assert found["step_accuracy"] == (1 + 4) / 20
    assert timing([silent], 2) == {"timing/median": 0, "timing/p90": 0, "timing/transitions": 0}
    begun = silenced(track(CHANGES[1:], CHANGES[1:], start={"S1": "in_progress"}))
    assert begun.predicted[-1] == {"S1": "in_progress", "S2": "not_started"}  # from what it was told, not from nothing
    assert begun.reference[-1] == {"S1": "completed", "S2": "completed"}


def test_numbers_by_hand():
    said = [(4, "S1", "start"), (6, "S1", "complete"), (11, "S2", "start")]
    late = replace(track(CHANGES, said), illegal=1, updates=4, unparsable=2)
    found = micro([counts(late, WINDOW)], rates)
    assert found["transition_exact/precision"] == 1 / 3
    assert found["transition_exact/recall"] == 1 / 4
    assert found["transition_exact/f1"] == pytest.approx(2 / 7)
    assert found["transition_near/precision"] == 2 / 3  # five frames late is outside −4
    assert found["transition_near/recall"] == 2 / 4
    assert found["transition_near/f1"] == pytest.approx(4 / 7)
    assert found["joint_goal_accuracy"] == 3 / 10  # frames 2, 4, 5
    assert found["step_accuracy"] == (9 + 4) / 20
    assert found["illegal"] == pytest.approx(1 / 3)
    assert found["unparsable"] == 0.5
    assert sorted(lateness([late], 2)) == [0, 0.5, 2.5]
    assert timing([late], 2) == {
        "timing/median": 0.5,
        "timing/p90": pytest.approx(0.5 + 0.8 * 2),
        "timing/transitions": 3,
    }
    early = track(CHANGES, [(2, "S1", "start")])
    assert lateness([early], 2).tolist() == [-0.5]
    assert timing([early], 2)["timing/median"] == 0.5


def test_a_step_that_the_prediction_lacks_is_wrong():
    true = track(CHANGES, CHANGES)
    lacking = replace(true, predicted=[{"S1": state["S1"]} for state in true.predicted])
    found = micro([counts(lacking, WINDOW)], rates)
    assert (found["joint_goal_accuracy"], found["step_accuracy"]) == (0, 0.5)


def test_states_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="zip"):
        counts(replace(track(CHANGES, CHANGES), predicted=[]), WINDOW)


def test_repeated_and_swapped_changes():
    twice = [CHANGES[0], CHANGES[0], (3, "S2", "start"), (3, "S1", "complete")]
    one = replace(track(CHANGES[:1], CHANGES[:1]), said=twice)
    video = counts(one, WINDOW)
    assert (video["exact"], video["near"], video["said"]) == (1, 1, 4)


def tried(said, happened, window):
    """(pairs, least distance) over every choice of a true frame or none for each prediction."""
    options = [
        [None, *(j for j, true in enumerate(happened) if window is None or window[0] <= true - mine <= window[1])]
        for mine in said
    ]
    best = (0, 0)
    for chosen in product(*options):
        taken = [j for j in chosen if j is not None]
        if len(set(taken)) == len(taken):
            far = sum(abs(said[i] - happened[j]) for i, j in enumerate(chosen) if j is not None)
            best = max(best, (len(taken), -far))
    return best


@pytest.mark.parametrize("limited", [True, False])
def test_pairs_equal_trying_everything_on_500_cases(limited):
    rng = random.Random(5)
    for _ in range(500):
        said, happened = ([rng.randint(0, 12) for _ in range(rng.randint(0, 4))] for _ in range(2))
        window = (-rng.randint(0, 4), rng.randint(0, 6)) if limited else None
        mine, true = ([(frame, "S1", "start") for frame in frames] for frames in (said, happened))
        pairs = aligned([*mine, (0, "S2", "start")], [*true, (0, "S1", "complete")], window)
        assert (len(pairs), -sum(abs(a - b) for a, b in pairs)) == tried(said, happened, window)
        assert all(window is None or window[0] <= b - a <= window[1] for a, b in pairs)


def test_counting_equals_brute_force_on_random_videos():
    rng = random.Random(2)
    for _ in range(100):
        frames = range(6)
        reference, predicted = (
            [{step: rng.choice(("not_started", "in_progress")) for step in STEPS} for _ in frames] for _ in range(2)
        )
        happened, said = (
            [
                (rng.randint(0, 5), rng.choice(STEPS), rng.choice(("start", "complete")))
                for _ in range(rng.randint(0, 5))
            ]
            for _ in range(2)
        )
        found = micro([counts(Track(reference[0], reference, predicted, happened, said), (0, 0))], rates)
        right = [a == b for a, b in zip(reference, predicted, strict=True)]
        assert found["joint_goal_accuracy"] == sum(right) / 6
        cells = [a[step] == b[step] for a, b in zip(reference, predicted, strict=True) for step in STEPS]
        assert found["step_accuracy"] == pytest.approx(sum(cells) / 12)
        left = list(happened)
        hits = [change for change in said if change in left and (left.remove(change) or True)]
        wanted = 2 * len(hits) / (len(said) + len(happened)) if said or happened else 0
        assert found["transition_exact/f1"] == pytest.approx(wanted)
        assert found["transition_near/f1"] == found["transition_exact/f1"]  # a window of one frame


def test_no_frames_and_no_videos():
    empty = Track(state_of(STEPS), [], [], [], [])
    assert set(counts(empty, WINDOW).values()) == {0}
    for videos in ([], [counts(empty, WINDOW)]):
        assert all(isfinite(value) and value == 0 for value in micro(videos, rates).values())
    assert set(timing([], 2).values()) == {0.0}
