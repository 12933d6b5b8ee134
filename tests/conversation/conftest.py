"""Streams drawn at random: users, frames, legal transitions and utterances, with texts that try to break out."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from tests.conversation.texts import texts

from prospect.conversation.dst import Transition, applied, legal
from prospect.conversation.sample import Frames, Sample, Step, Task, Turn

STATUSES = st.sampled_from(["not_started", "in_progress", "completed"])


@st.composite
def drawn(draw, hostile: bool = True, context: bool = True, longest: int = 9) -> Sample:
    """A stream. With `context` some of its spans, and what happens at their ends, are not to be learnt."""
    text = texts(hostile, pieces=4, longest=5)
    steps = tuple(Step(f"S{number}", draw(text)) for number in range(1, draw(st.integers(1, 4)) + 1))
    task = Task(draw(text), steps, {step.id: draw(STATUSES) for step in steps})
    turns, state, start = [Turn("system", (draw(text),))], task.state, draw(st.integers(0, 500))
    for _ in range(draw(st.integers(1, 6))):
        turns += [Turn("user", (said,)) for said in draw(st.lists(text, max_size=2))]
        learn = not context or draw(st.integers(0, 3)) > 0
        stop = start + draw(st.integers(1, longest))
        turns.append(Turn("frames", (Frames(start, stop),), learn))
        start = stop
        changes: list[Transition] = []
        for _ in range(draw(st.sampled_from([0, 0, 1, 2, 3]))):
            if options := legal(state):
                changes.append(draw(st.sampled_from(options)))
                state = applied(state, changes[-1:])
        if changes:
            turns.append(Turn("dst", tuple(changes), learn))
        if draw(st.booleans()):
            turns.append(Turn("assistant", (draw(text),), learn, draw(st.sampled_from(["", "next", "end"]))))
    if draw(st.integers(0, 4)) == 0:
        turns.append(Turn("user", (draw(text),)))
    return Sample("clip", tuple(turns), task=task)


@pytest.fixture(scope="session")
def streams():
    return drawn


@pytest.fixture(scope="session", params=["small", "published"])
def tokenizer(request):
    return request.getfixturevalue("small_tokenizer" if request.param == "small" else "true_tokenizer")
