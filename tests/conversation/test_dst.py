"""Claims: only the two arrows are legal; texts read back as what was said; a state is the replay of its updates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.conversation.dst import (
    NEXT,
    IllegalTransition,
    Transition,
    applied,
    legal,
    read,
    read_state,
    said,
    said_state,
    state_of,
)

ids = st.from_regex(r"[A-Za-z0-9_.]{1,6}", fullmatch=True)
transitions = st.lists(st.builds(Transition, ids, st.sampled_from(["start", "complete"])), min_size=1, max_size=6)
states = st.dictionaries(ids, st.sampled_from(["not_started", "in_progress", "completed"]), min_size=1, max_size=7)


@given(transitions)
def test_an_update_reads_back_as_what_was_said(update):
    assert read(said(update)) == update


@given(states)
def test_a_state_reads_back_in_order(state):
    again = read_state(said_state(state))
    assert again == state
    assert list(again) == list(state)


@given(states, st.data())
def test_every_walk_over_legal_transitions_replays(state, data):
    walk, now = [], dict(state)
    while options := legal(now):
        walk.append(data.draw(st.sampled_from(options)))
        now = applied(now, [walk[-1]])
    assert set(now.values()) == {"completed"}
    assert applied(state, walk) == now
    assert len(walk) == sum({"not_started": 2, "in_progress": 1, "completed": 0}[status] for status in state.values())


@given(states)
def test_what_is_not_legal_is_refused_and_changes_nothing(state):
    before = dict(state)
    allowed = set(legal(state))
    for step, status in state.items():
        for action in ("start", "complete"):
            transition = Transition(step, action)
            assert (transition in allowed) == ((status, action) in NEXT)
            if transition not in allowed:
                with pytest.raises(IllegalTransition, match=f"the step is {status}"):
                    applied(state, [transition])
    assert state == before


def test_two_transitions_of_one_step_in_one_update():
    both = read("S1->start, S1->complete")
    assert applied(state_of(["S1", "S2"]), both) == {"S1": "completed", "S2": "not_started"}
    with pytest.raises(IllegalTransition):
        applied(state_of(["S1"]), reversed(both))


def test_unknown_steps_and_words():
    with pytest.raises(IllegalTransition, match="no such step"):
        applied(state_of(["S1"]), [Transition("S9", "start")])
    with pytest.raises(ValueError, match="state names step S9"):
        state_of(["S1"], {"S9": "completed"})
    with pytest.raises(ValueError, match="unknown status 'done'"):
        state_of(["S1"], {"S1": "done"})
    with pytest.raises(ValueError, match="unknown transition 'stop'"):
        Transition("S1", "stop")
    with pytest.raises(ValueError, match="step id 'S 1'"):
        Transition("S 1", "start")


@pytest.mark.parametrize(
    "text", ["", "S1", "S1->begin", "S1 -> start", "S1->start,S2->start", "S1->start, ", "->start"]
)
def test_what_is_no_update_is_refused(text):
    with pytest.raises(ValueError, match="is no update"):
        read(text)


def test_what_is_no_state_is_refused():
    with pytest.raises(ValueError, match="is no state"):
        read_state("S1:done")


def test_steps_left_out_have_not_started():
    assert state_of(["S1", "S2"], {"S2": "in_progress"}) == {"S1": "not_started", "S2": "in_progress"}
    assert state_of([]) == {}
