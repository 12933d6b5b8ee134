"""Every event exactly once, never before its time, between frames that tile the clip."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.conversation.dst import Transition, applied, legal, state_of
from prospect.conversation.sample import Frames, Sample, Step, Task
from prospect.conversation.stream import decided
from prospect.data.clips.dataset import sample
from prospect.data.clips.files import Entry
from prospect.data.clips.rows import clip_of
from prospect.data.clips.turns import Event, frame_at, moments, turns_between

STEPS = tuple(f"S{n}" for n in range(1, 5))
RATES = (1, 2, 3, 2.5, 10, 29.97, 30 / 14)


@given(st.integers(0, 10**6), st.sampled_from(RATES), st.integers(0, 9))
def test_a_time_inside_a_frame_is_that_frame(frame, fps, tenth):
    assert frame_at((frame + tenth / 10) / fps, fps) == frame


def test_float_noise_moves_no_event():
    assert frame_at(0.1 * 3 / 0.3, 1) == 1
    assert frame_at(0.7 * 3, 10) == 21  # 20.999999999999996
    assert frame_at(1 / 3 + 1 / 3 + 1 / 3, 3) == 3


@st.composite
def conversations(draw):
    """(events, start, stop, initial state): unique texts, legal transitions, many of them at one frame."""
    start = draw(st.integers(0, 50))
    stop = start + draw(st.integers(1, 12))
    frames = sorted(draw(st.lists(st.integers(start, stop - 1), max_size=14)))
    given = draw(st.dictionaries(st.sampled_from(STEPS), st.sampled_from(["in_progress", "completed"])))
    state, events = state_of(STEPS, given), []
    for place, frame in enumerate(frames):
        role = draw(st.sampled_from(["user", "assistant", "dst"]))
        if role == "dst" and legal(state):
            changes = (draw(st.sampled_from(legal(state))),)
            state = applied(state, changes)
            events.append(Event(frame, "dst", "", changes, "", place))
        else:
            events.append(Event(frame, "user" if role == "user" else "assistant", f"w{place}", (), "k", place))
    return events, start, stop, state_of(STEPS, given)


def positions(turns, start):
    """(frame, role, words or transitions) of all that is not frames; a user's words stand before their frame."""
    seen, found = start, []
    for turn in turns:
        if turn.role == "frames":
            assert turn.frames.start == seen < turn.frames.stop  # tiles: in order, without gap or overlap, none empty
            seen = turn.frames.stop
        elif turn.role == "dst":
            found += [(seen - 1, "dst", transition) for transition in turn.transitions]
        else:
            frame = seen if turn.role == "user" else seen - 1
            found += [(frame, turn.role, word) for word in turn.text.split(" ")]
    return found, seen


@given(conversations())
def test_every_event_once_and_never_early(conversation):
    events, start, stop, state = conversation
    placed, crowded = moments(events, start, stop)
    turns = turns_between(Frames(start, stop), placed)
    found, seen = positions(turns, start)
    assert seen == stop

    changes = [(event.frame, "dst", event.transitions[0]) for event in events if event.role == "dst"]
    assert [entry for entry in found if entry[1] == "dst"] == changes  # always at their own frame, in order

    said = {word: frame for frame, role, word in found if role != "dst"}
    talk = [event for event in events if event.role != "dst"]
    assert len(said) == len([entry for entry in found if entry[1] != "dst"]) == len(talk)
    assert all(said[event.text] >= event.frame for event in talk)
    if not crowded:
        assert list(said) == [event.text for event in talk]  # no answer overtakes its question
    for place, event in enumerate(talk):
        if said[event.text] > event.frame:
            assert moved_for_a_reason(event, said, talk[:place], events)
    assert crowded == [] or all(event.frame <= stop - 1 == said[event.text] for event in crowded)

    whole = Sample("x", tuple(turns), {}, Task("", tuple(Step(step, step) for step in STEPS), state))
    list(decided(whole))  # refuses two utterances or updates at one frame
    for _, _, transition in changes:
        state = applied(state, [transition])  # raises where it is illegal


def moved_for_a_reason(event, said, earlier, events):
    """A user spoke before it, or it is a user's and something stands behind the frame before."""
    if event.role == "assistant":
        return any(other.role == "user" and said[other.text] == said[event.text] for other in earlier)
    before = said[event.text] - 1
    return any(
        (other.role == "dst" and other.frame == before) or said.get(other.text) == before
        for other in events
        if other.place < event.place
    ) or any(other.role == "user" and said[other.text] == said[event.text] for other in earlier)


def turned(*events, stop=4):
    """Roles and words in short: events are (frame, role, word)."""
    listed = [
        Event(frame, role, word, (Transition(word, "start"),) if role == "dst" else (), "", place)
        for place, (frame, role, word) in enumerate(events)
    ]
    placed, crowded = moments(listed, 0, stop)
    turns = turns_between(Frames(0, stop), placed)
    told = [
        (turn.frames.start, turn.frames.stop) if turn.role == "frames" else f"{turn.role}:{turn.text}" for turn in turns
    ]
    return told, len(crowded)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (((1, "user", "q"), (1, "assistant", "a")), [(0, 1), "user:q", (1, 2), "assistant:a", (2, 4)]),
        (((1, "assistant", "a"), (1, "user", "q")), [(0, 2), "assistant:a", "user:q", (2, 4)]),
        (((1, "assistant", "a"), (1, "assistant", "b")), [(0, 2), "assistant:a b", (2, 4)]),
        (((1, "assistant", "a"), (1, "dst", "S1")), [(0, 2), "dst:", "assistant:a", (2, 4)]),
        (((1, "dst", "S1"), (1, "user", "q")), [(0, 2), "dst:", "user:q", (2, 4)]),
        (
            ((1, "assistant", "a"), (1, "user", "q"), (1, "assistant", "b"), (1, "dst", "S1")),
            [(0, 2), "dst:", "assistant:a", "user:q", (2, 3), "assistant:b", (3, 4)],
        ),
        (((0, "user", "q"), (3, "assistant", "a")), ["user:q", (0, 4), "assistant:a"]),
        (((3, "assistant", "a"), (3, "user", "q")), [(0, 4), "assistant:a", "user:q"]),
    ],
)
def test_the_order_at_one_frame(events, expected):
    assert turned(*events) == (expected, 0)


def test_the_last_frame_takes_what_has_no_later_one():
    told, crowded = turned((3, "assistant", "a"), (3, "user", "q"), (3, "assistant", "b"))
    assert (told, crowded) == ([(0, 3), "user:q", (3, 4), "assistant:a b"], 1)
    told, crowded = turned((3, "assistant", "a"), (3, "user", "q"), (3, "assistant", "b"), (3, "assistant", "c"))
    assert (told[-1], crowded) == ("assistant:a b c", 1)


def test_several_updates_of_a_frame_are_one_turn_in_order():
    events = [Event(1, "dst", "", (Transition(step, "start"),)) for step in ("S2", "S1")]
    turns = turns_between(Frames(0, 2), moments(events, 0, 2)[0])
    assert turns[1].transitions == (Transition("S2", "start"), Transition("S1", "start"))


def test_kinds_of_joined_utterances_are_joined():
    events = [Event(1, "assistant", word, (), kind) for word, kind in (("a", "good"), ("b", "next"), ("c", "good"))]
    assert turns_between(Frames(0, 2), moments(events, 0, 2)[0])[1].kind == "good+next"


def entry(events, start, stop, fps, tiled):
    """A clip of the newer form with times, or of the older one with spans of frames instead."""
    turns, seen = [], start
    for event in events:
        turn = {"role": event.role, "content": event.text, "labels": event.kind}
        if event.role == "dst":
            turn = {
                "role": "DST_UPDATE",
                "content": [{"id": t.step, "transition": t.action} for t in event.transitions],
            }
        if tiled and event.frame + 1 > seen:
            turns.append({"role": "frames", "start": seen, "end": event.frame + 1})
            seen = event.frame + 1
        turns.append(turn if tiled else turn | {"time": (event.frame + 0.5) / fps})
    if tiled and seen < stop:
        turns.append({"role": "frames", "start": seen, "end": stop})
    window = {} if tiled else {"start_frame_idx": start, "end_frame_idx": stop}
    steps = [{"id": step, "name": step} for step in STEPS]
    rest = {"video_uid": "v", "frames_file": "v.arrow", "fps": fps, "inferred_goal": "g", "dst": steps}
    return Entry("x", "train", rest | window | {"conversation": turns})


@given(conversations(), st.sampled_from(RATES))
def test_both_forms_read_the_same(conversation, fps):
    events, start, stop, _ = conversation
    one, other = (clip_of(entry(events, start, stop, fps, tiled)) for tiled in (False, True))
    assert [replace(event, place=0) for event in one.events] == [replace(event, place=0) for event in other.events]
    assert [event.frame for event in one.events] == [event.frame for event in events]
    frames = Frames(start, stop, fps=fps)
    assert sample(one, frames).turns == sample(other, frames).turns
