"""Invariants of split streams:
1. no part is over the limit, and a stream is refused only where a frame with its events cannot fit by itself;
2. put together, what the parts learn is the whole: each turn and each frame once, in order, texts unchanged;
3. a part's state is the replay of what happened before its first frame, and its own transitions go on from there;
4. what stands before the learnt turns is context of so many seconds at most, and the questions still open by then;
5. the work grows with the length of the stream, not with its square.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.conversation.dst import Transition, applied
from prospect.conversation.sample import Frames, Sample, Step, Task, Turn
from prospect.conversation.segments import encode
from prospect.conversation.smolvlm import SMOLVLM
from prospect.conversation.split import split
from prospect.errors import UserError

FPS = 2


@pytest.fixture(scope="module")
def length(small_tokenizer):
    """Of a sample with 5 tokens a frame."""
    return lambda sample: len(encode(SMOLVLM.chat(sample, lambda picture: [], 5), small_tokenizer))


def pieces(turns) -> list[tuple[int | None, Turn]]:
    """Turns with those of frames taken apart: (frame, turn of this frame) or (None, turn)."""
    return [
        (frame, replace(turn, parts=(turn.frames.part(frame, frame + 1),))) if frame is not None else (None, turn)
        for turn in turns
        for frame in (range(turn.frames.start, turn.frames.stop) if turn.role == "frames" else [None])
    ]


def smallest(sample: Sample) -> list[Sample]:
    """Each frame by itself, with what users say before it, what happens at it, and the state before it."""
    system, *rest = pieces(sample.turns)
    state, alone, waiting, moment = sample.task.state, [], [], None
    for frame, turn in rest:
        if frame is not None:
            moment = [*waiting, turn]
            alone.append((state, moment))
            waiting = []
        elif turn.role == "user":
            waiting.append(turn)
        else:
            moment.append(turn)
            state = applied(state, turn.transitions)
    moment += waiting
    return [
        replace(sample, turns=(system[1], *turns), task=replace(sample.task, state=before)) for before, turns in alone
    ]


def replayed(sample: Sample, frame: int) -> dict:
    """The state before a frame."""
    state = sample.task.state
    for number, turn in pieces(sample.turns):
        if number == frame:
            return state
        state = applied(state, turn.transitions)
    raise AssertionError("no such frame")


def check(whole: Sample, parts: list[Sample], limit: int, length, overlap: float) -> None:
    assert [part.id for part in parts] == [f"{whole.id}#{number}" for number in range(1, len(parts) + 1)]
    assert all(length(part) <= limit for part in parts)
    assert [piece for part in parts for piece in pieces(part.turns[1:]) if piece[1].learn] == pieces(whole.turns[1:])
    bare = [replace(turn, learn=False) for _, turn in pieces(whole.turns[1:])]
    for part in parts:
        assert part.turns[0] == whole.turns[0]
        assert (part.meta, part.task.goal, part.task.steps) == (whole.meta, whole.task.goal, whole.task.steps)
        body = pieces(part.turns[1:])
        frames = [frame for frame, _ in body if frame is not None]
        assert part.task.state == replayed(whole, frames[0])
        applied(part.task.state, [change for _, turn in body for change in turn.transitions])  # legal, each once
        context = [piece for piece in body if not piece[1].learn]
        assert body[: len(context)] == context
        seen = [frame for frame, _ in context if frame is not None]
        assert len(seen) <= round(overlap * FPS)
        assert frames == list(range(frames[0], frames[-1] + 1))
        # Context ends where learning begins, and is what the whole has there, but for the open questions at its head.
        place = pieces(whole.turns[1:]).index(body[len(context)])
        head = next((place for place, (frame, _) in enumerate(context) if frame is not None), len(context))
        begins = place - len(context) + head
        while head and context[head - 1][1] == bare[begins - 1]:  # what was said before the first frame shown
            head, begins = head - 1, begins - 1
        assert [turn for _, turn in context[head:]] == bare[begins:place]
        questions = [bare.index(turn) for _, turn in context[:head]]
        assert questions == sorted(questions)
        for asked in questions:
            assert bare[asked].role == "user"
            assert not any(turn.role == "assistant" for turn in bare[asked:place])


@given(data=st.data(), overlap=st.sampled_from([0, 1, 2.5, 10, 1000]), spare=st.integers(-3, 90))
@settings(max_examples=200, deadline=None)
def test_parts_are_the_whole(streams, length, data, overlap, spare):
    whole = data.draw(streams(context=False).map(numbered))
    least = max(map(length, smallest(whole)))
    limit = least + spare
    if length(whole) <= limit:
        assert split(whole, limit, length, overlap) == [whole]
    elif spare < 0:
        with pytest.raises(UserError, match=rf"sample clip: .* takes \d+ tokens and the limit is {limit}; "):
            split(whole, limit, length, overlap)
    else:
        check(whole, split(whole, limit, length, overlap), limit, length, overlap)


def numbered(sample: Sample) -> Sample:
    """No two texts the same, so that a turn is known by what it says."""
    return replace(
        sample,
        turns=tuple(
            replace(turn, parts=(f"{place} {turn.text}",)) if turn.role in ("user", "assistant") else turn
            for place, turn in enumerate(sample.turns)
        ),
        meta={"video": "v"},
    )


@given(data=st.data(), spare=st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_context_of_the_whole_stays_context(streams, length, data, spare):
    whole = data.draw(streams().map(numbered))
    limit = max(map(length, smallest(whole))) + spare
    parts = split(whole, limit, length, overlap=2)
    assert all(length(part) <= limit for part in parts)
    learnt = [pieces([turn for turn in sample.turns[1:] if turn.learn]) for sample in (whole, *parts)]
    is_taught = [[p for p in pieces_ if p[1].role != "user"] for pieces_ in learnt]
    assert [piece for part in is_taught[1:] for piece in part] == is_taught[0]


@given(data=st.data(), spare=st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_turns_that_do_not_add_up_are_measured(streams, length, data, spare):
    """Parts are planned with the lengths of turns; where a whole part is longer, it is cut back until it fits."""

    def longer(sample: Sample) -> int:
        return length(sample) + len(sample.turns) ** 2 // 3

    whole = data.draw(streams(context=False).map(numbered))
    limit = max(map(longer, smallest(whole))) + spare
    if longer(whole) > limit:
        check(whole, split(whole, limit, longer, 2), limit, longer, 2)


TASK = Task(
    "toy",
    (Step("S1", "base"), Step("S2", "roof")),
    {"S1": "in_progress", "S2": "not_started"},
)


def seen(start: int, stop: int) -> Turn:
    return Turn("frames", (Frames(start, stop),))


def user(text: str) -> Turn:
    return Turn("user", (text,))


def says(text: str) -> Turn:
    return Turn("assistant", (text,))


def stream(*turns: Turn) -> Sample:
    return Sample("clip-7", (Turn("system", ("Help.",)), *turns), task=TASK)


def flat(sample: Sample) -> list[str]:
    """`20-30` learnt frames, `(20-30)` as context."""
    words = [
        f"{turn.frames.start}-{turn.frames.stop}" if turn.role == "frames" else turn.text or "change"
        for turn in sample.turns[1:]
    ]
    return [word if turn.learn else f"({word})" for turn, word in zip(sample.turns[1:], words, strict=True)]


def counted(sample: Sample) -> int:
    """A simple measure: 1 a frame, 10 a text turn."""
    return sum(len(turn.frames) if turn.role == "frames" else 10 for turn in sample.turns)


def test_the_form_of_the_parts():
    changes = (Transition("S1", "complete"), Transition("S2", "start"))
    first = [seen(100, 130), Turn("dst", changes[:1]), says("Good.")]
    second = [user("next?"), seen(130, 160), Turn("dst", changes[1:])]
    whole = stream(*first, *second, seen(160, 170))
    parts = split(whole, 100, counted, overlap=5)
    assert [flat(part) for part in parts] == [
        ["100-130", "change", "Good."],
        ["(120-130)", "(change)", "(Good.)", "next?", "130-160", "change", "160-170"],
    ]
    assert [part.id for part in parts] == ["clip-7#1", "clip-7#2"]
    assert parts[1].task.state == TASK.state  # the first change is shown, so it is not told
    assert split(whole, 100, counted, overlap=0)[1].task.state == {"S1": "completed", "S2": "not_started"}


def test_what_fits_is_the_sample_itself():
    whole = stream(seen(0, 90))
    assert split(whole, 100, counted)[0] is whole
    assert len(split(whole, 99, counted)) == 2


def test_a_long_silence_is_cut_at_frames():
    frames = Frames(7, 207, fps=4.0, blank=True)
    parts = split(stream(Turn("frames", (frames,))), 100, counted, overlap=2.5)
    assert [flat(part) for part in parts] == [["7-97"], ["(87-97)", "97-177"], ["(167-177)", "177-207"]]
    assert all(replace(piece, start=7, stop=207) == frames for part in parts for piece in part.frames)


def test_a_question_stays_with_its_answer_where_both_fit():
    whole = stream(seen(0, 30), says("A"), user("Q?"), seen(30, 100), says("B"))
    assert [flat(part) for part in split(whole, 100, counted, overlap=0)] == [
        ["0-30", "A"],
        ["Q?", "30-100", "B"],
    ]


def test_a_question_goes_along_until_it_is_answered():
    whole = stream(seen(0, 30), says("A"), user("Q?"), seen(30, 240), says("B"), seen(240, 290), user("bye"))
    parts = split(whole, 100, counted, overlap=5)
    assert [flat(part) for part in parts] == [
        ["0-30", "A", "Q?", "30-70"],
        ["(Q?)", "(60-70)", "70-140"],
        ["(Q?)", "(130-140)", "140-210"],
        ["(Q?)", "(200-210)", "210-240", "B"],
        ["(230-240)", "(B)", "240-290", "bye"],
    ]


def test_whole_turns_come_first_and_then_those_before_a_question():
    silence = stream(seen(0, 60), seen(60, 200))
    assert flat(split(silence, 100, counted, overlap=0)[0]) == ["0-60"]
    question = stream(seen(0, 50), user("Q?"), seen(50, 60), seen(60, 200))
    assert flat(split(question, 100, counted, overlap=0)[0]) == ["0-50"]


def test_a_part_is_not_ended_early_without_a_question():
    parts = split(stream(seen(0, 30), seen(30, 96), says("B")), 100, counted, overlap=0)
    assert [flat(part) for part in parts] == [["0-30", "30-90"], ["90-96", "B"]]


def test_a_question_that_the_context_shows_is_there_once():
    parts = split(stream(seen(0, 30), user("Q?"), seen(30, 60), seen(60, 200)), 100, counted, overlap=20)
    # Half of the room of 90 is 45: the question and 35 frames
    assert flat(parts[0]) == ["0-30", "Q?", "30-60"]
    assert flat(parts[1]) == ["(25-30)", "(Q?)", "(30-60)", "60-105"]


def test_the_latest_questions_come_first_where_not_all_have_room():
    asked = [user(f"Q{number}?") for number in range(5)]
    parts = split(stream(seen(0, 1), *asked, seen(1, 100), says("B")), 100, counted, overlap=5)
    # Half of the room of 90 is 45: four questions, and five frames
    assert flat(parts[1]) == ["(Q1?)", "(Q2?)", "(Q3?)", "(Q4?)", "(35-40)", "40-85"]
    assert flat(parts[2]) == ["(Q1?)", "(Q2?)", "(Q3?)", "(Q4?)", "(80-85)", "85-100", "B"]


def test_an_overlap_takes_no_more_than_half():
    whole = stream(seen(0, 1000))
    parts = split(whole, 100, counted, overlap=1e6)
    assert flat(parts[1]) == ["(45-90)", "90-135"]
    assert len(parts) == 1 + (1000 - 90 + 44) // 45


def test_an_overlap_gives_way_to_what_must_be_learnt():
    whole = stream(
        seen(0, 90), user("a"), user("b"), user("c"), user("d"), user("e"), user("f"), seen(90, 91), says("B")
    )
    measured = []
    parts = split(whole, 100, lambda sample: measured.append(counted(sample)) or measured[-1], overlap=10)
    assert flat(parts[1]) == ["(71-90)", "a", "b", "c", "d", "e", "f", "90-91", "B"]
    assert [tokens for tokens in measured if tokens > 100] == [171]  # where turns add up no part is made in vain


def test_what_cannot_fit_is_named_with_both_numbers():
    big = "x" * 200

    def letters(sample: Sample) -> int:
        return sum(10 * len(turn.frames) if turn.role == "frames" else len(turn.text) for turn in sample.turns)

    with pytest.raises(
        UserError, match=r"sample clip-7: turn 3 \(assistant\) with .* takes 205 tokens .* limit is 100"
    ):
        split(stream(seen(0, 9), says(big), seen(9, 12)), 100, letters)
    with pytest.raises(UserError, match=r"sample clip-7: turn 4, frame 9 with .* takes 75 tokens .* limit is 73"):
        split(stream(seen(0, 9), user("y" * 60), seen(9, 12), says("hm"), user("z" * 60), seen(12, 13)), 73, letters)


def test_what_else_cannot_be_split():
    with pytest.raises(UserError, match=r"sample clip-7: the system prompt takes 10 tokens and the limit is 9"):
        split(stream(seen(0, 9)), 9, counted)
    with pytest.raises(UserError, match=r"sample clip-7 takes 30 tokens and the limit is 29; only streams"):
        split(stream(user("a"), says("b")), 29, counted)
    with pytest.raises(UserError, match=r"overlap of -1 seconds"):
        split(stream(seen(0, 9)), 10, counted, overlap=-1)
    with pytest.raises(UserError, match=r"sample clip-7: S2->complete: the step is not_started"):
        split(stream(seen(0, 9), Turn("dst", (Transition("S2", "complete"),)), seen(9, 90)), 50, counted)


def test_a_stream_without_a_task_or_a_prompt():
    parts = split(Sample("captions", (seen(0, 30), says("A"), seen(30, 60), says("B"))), 60, counted, overlap=5)
    assert [part.turns[0].role for part in parts] == ["frames", "frames"]
    assert [part.task for part in parts] == [None, None]


def test_every_part_has_the_whole_prompt():
    system = (Turn("system", ("Help.",)), Turn("system", ("Be brief.",)))
    parts = split(Sample("clip-7", (*system, seen(0, 150)), task=TASK), 100, counted, overlap=0)
    assert [part.turns[:2] for part in parts] == [system, system]
    assert [len(part.turns) for part in parts] == [3, 3]


def test_the_work_grows_with_the_length(length):
    def work(spans: int) -> float:
        """Tokens measured per token of the stream."""
        turns = [
            turn
            for n in range(spans)
            for turn in (user("what is next?"), seen(10 * n, 10 * n + 10), says("Now the roof."))
        ]
        read = []

        def measured(sample: Sample) -> int:
            read.append(length(sample))
            return read[-1]

        split(stream(*turns), 1000, measured, overlap=5)
        return sum(read) / length(stream(*turns))

    assert work(80) == pytest.approx(work(320), rel=0.1)
    assert work(320) < 4
