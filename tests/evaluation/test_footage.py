"""Predictions name their frames, count what is wrong at θ, and carry few small pictures: of the worst clips first."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from prospect.conversation.sample import Frames, Sample, Turn
from prospect.evaluation.footage import (
    CLIPS,
    EDGE,
    PICTURES,
    WORST,
    decided_frames,
    illustrated,
    pictured,
    spans,
    worth_a_look,
)
from prospect.training.thumbnails import thumbnails

THRESHOLDS = {"speak": 0.5, "dst": 0.9}


class Film:
    def decoded(self, start, stop):
        return (Image.new("RGB", (200, 100), (frame, 0, 0)) for frame in range(start, stop))


def clip(name: str, start: int, count: int) -> Sample:
    context = Turn("frames", (Frames(start - 3, start, Film(), fps=4.0),), learn=False)
    return Sample(name, (context, Turn("frames", (Frames(start, start + count, Film(), fps=4.0),))))


def row(name: str, speak: list[float], at: list[int]) -> dict:
    return {"id": name, "speak": {"at": at, "p": speak}, "dst": {"at": [], "p": [0.6] * len(speak)}}


def test_rows_name_their_frames_and_count_mistakes():
    samples = [clip("a", 10, 3), clip("b", 50, 30)]
    rows = [row("b", [0.9] + [0.0] * 29, [0]), row("a", [0.6, 0.4, 0.5], [1])]
    b, a = illustrated(rows, samples, THRESHOLDS)
    assert (a["fps"], a["numbers"], a["wrong"]) == (4.0, [[10, 13]], 2)  # 0.5 is not above the threshold
    assert (b["numbers"], b["wrong"]) == ([[50, 80]], 0)
    assert [picture["at"] for picture in a["thumbnails"]] == [0, 1, 2]
    assert len(b["thumbnails"]) == PICTURES
    assert all(picture["image"].startswith("data:image/jpeg;base64,") for picture in b["thumbnails"])


def test_clips_watched_freely_have_pictures_at_their_places_from_the_first_frame():
    samples = [clip("a", 10, 30), *(clip(f"b{number}", 3, 1) for number in range(CLIPS + 3))]
    rows = [
        {"id": each.id, "first": 8, "p_speak": [0.0] * 32, "wrong": 5 * (each.id == "a")}
        if each.id == "a"
        else {"id": each.id, "first": 0, "p_speak": [0.0] * 4, "wrong": 0}
        for each in samples
    ]
    found = pictured(rows, samples)
    assert [{name: row[name] for name in rows[0]} for row in found] == rows
    assert sum("thumbnails" in row for row in found) == CLIPS
    places = [picture["at"] for picture in found[0]["thumbnails"]]
    assert len(places) == PICTURES
    assert [picture["image"] for picture in found[0]["thumbnails"]] == [
        image for _, image in thumbnails(samples[0], [8 + place for place in places], EDGE)
    ]


def test_context_is_not_counted():
    assert decided_frames(clip("a", 10, 2)) == [10, 11]


@given(st.lists(st.integers(0, 5), max_size=60))
def test_the_worst_and_others_evenly(wrong):
    chosen = worth_a_look(wrong)
    assert len(chosen) == len(set(chosen)) == min(CLIPS, len(wrong))
    worst = sorted((count for count in wrong if count), reverse=True)[:WORST]
    assert [wrong[number] for number in chosen[: len(worst)]] == worst


@given(st.sets(st.integers(0, 50)).map(sorted))
def test_spans_are_the_numbers(numbers):
    found = spans(numbers)
    assert [number for start, stop in found for number in range(start, stop)] == numbers
    assert all(one[1] < other[0] for one, other in pairwise(found))
