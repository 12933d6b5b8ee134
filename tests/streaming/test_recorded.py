"""A sample as a stream: frames with what was said before each, and apart from them what truly happened."""

from __future__ import annotations

import numpy as np
import pytest
from tests.streaming.films import Given

from prospect.conversation.dst import Transition
from prospect.conversation.sample import Frames, Sample, Turn
from prospect.errors import UserError
from prospect.streaming.recorded import asked, happened, recorded
from prospect.streaming.stream import Happened

START, COMPLETE = Transition("S1", "start"), Transition("S1", "complete")
MADE = np.arange(60, dtype=np.float32).reshape(20, 1, 3)


def seen(start, stop, **more):
    return Turn("frames", (Frames(start, stop, features=Given(MADE), **more),))


SAMPLE = Sample(
    "clip",
    (
        Turn("system", ("Help.",)),
        Turn("user", ("First?",)),
        Turn("user", ("Well?",)),
        seen(4, 7),
        Turn("dst", (START, COMPLETE)),
        Turn("assistant", ("Good.",)),
        Turn("user", ("And now?",)),
        seen(7, 8),
        Turn("assistant", ("",)),
        seen(8, 9),
        Turn("user", ("Bye.",)),
    ),
)


def test_frames_come_with_what_was_said_before_them():
    stream = recorded(SAMPLE)
    for _ in range(2):  # it can be played again
        frames = list(stream.source)
        assert [texts for _, texts in frames] == [["First?", "Well?"], [], [], ["And now?"], []]
        assert [float(made[0, 0]) for made, _ in frames] == [12, 15, 18, 21, 24]
    assert (stream.first, stream.fps, stream.forced, stream.name) == (4, 2.0, None, "sample clip")
    assert stream.system == SAMPLE.turns[:1]


def test_what_happened_stands_at_its_frame():
    right = {6: Happened((START, COMPLETE), "Good."), 7: Happened((), "")}
    assert happened(SAMPLE) == right
    assert recorded(SAMPLE, forced=True).forced == right


def test_pictures_are_opened_one_by_one(clips):
    (turn,) = [turn for turn in clips[0].turns if turn.role == "frames"][:1]
    frame, _ = next(iter(recorded(clips[0]).source))
    assert frame.tobytes() == next(turn.frames.pictures()).tobytes()


def test_what_cannot_be_played_is_said():
    with pytest.raises(UserError, match="sample clip: something happens before its first frame"):
        happened(Sample("clip", (Turn("assistant", ("Hello.",)), seen(0, 2))))
    with pytest.raises(UserError, match="blanked frames need the frames themselves"):
        list(recorded(Sample("clip", (seen(0, 2, blank=True),))).source)


def test_questions_have_the_frame_that_they_stand_before():
    assert asked(SAMPLE) == [(4, "First?"), (4, "Well?"), (7, "And now?")]  # and Bye is never heard
