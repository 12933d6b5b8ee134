"""The view of a stream: labels, states and budget equal what training makes of the same sample."""

from __future__ import annotations

import base64
import io
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from prospect.conversation.dst import Transition, applied
from prospect.conversation.sample import Frames, Sample, Step, Task, Turn
from prospect.conversation.segments import encode
from prospect.models.stream import for_streams
from prospect.training.collate import Item, collator
from prospect.training.preview import view
from prospect.training.preview_stream import WITHIN, Sampling, labels, placed
from prospect.training.thumbnails import evenly, thumbnail, thumbnails


@pytest.fixture
def watching(vlm):
    return for_streams(vlm, 0)


class Film:
    """Frames whose colour is their number."""

    def decoded(self, start, stop):
        return (Image.new("RGB", (16, 16), (frame, 0, 0)) for frame in range(start, stop))


@pytest.fixture
def sample():
    """Frames 4 to 15 at 2 a second; a question before frame 7, both events at 8, an utterance at 11."""

    def span(start, stop):
        return Turn("frames", (Frames(start, stop, Film()),))

    turns = (
        Turn("system", ("Watch.",)),
        span(4, 7),
        Turn("user", ("What now?",)),
        span(7, 9),
        Turn("dst", (Transition("S1", "complete"), Transition("S2", "start"))),
        Turn("assistant", ("Good. Take the ring.",), kind="good+next"),
        span(9, 12),
        Turn("assistant", ("Well done.",), kind="end"),
        span(12, 16),
    )
    steps = (Step("S1", "Attach the bar"), Step("S2", "Attach the ring"))
    return Sample("clip", turns, {}, Task("Build it", steps, {"S1": "in_progress", "S2": "not_started"}))


def item_of(vlm, sample, epoch=None) -> Item:
    return Item(sample, encode(vlm.chat(sample), vlm.tokenizer), epoch)


def test_turns_stand_at_their_frames_with_the_state_around_them(sample):
    found = {event.place: (event.frame, event.before, event.after) for event in placed(sample)}
    before, after = {"S1": "in_progress", "S2": "not_started"}, {"S1": "completed", "S2": "in_progress"}
    assert found == {
        0: (4, before, before),
        2: (7, before, before),
        4: (8, before, after),
        5: (8, after, after),
        7: (11, after, after),
    }


def test_the_view_of_a_small_stream(watching, clips, sample):
    data = replace(clips, splits={**clips.splits, "val": [sample]}, findings=[])
    seen = view(watching, data, "val", 0)
    (part,) = seen["parts"]
    stream = part["stream"]
    assert {point["frame"]: point["label"] for point in stream["points"] if point["label"] != "silent"} == {
        8: "speak + dst",
        11: "speak",
    }
    assert stream["labels"] == {"silent": 10, "speak + dst": 1, "speak": 1}
    assert stream["kinds"] == {"dst/complete": 1, "dst/start": 1, "speak/end": 1, "speak/good+next": 1}
    assert stream["bars"][1]["spans"] == [
        {"status": "not_started", "start": 4, "stop": 9},
        {"status": "in_progress", "start": 9, "stop": 16},
    ]
    assert stream["places"][1] == {"start": 4, "stop": 7}
    assert part["turns"][4]["parts"] == [{"text": "S1->complete, S2->start"}]
    assert part["turns"][0]["parts"][0]["text"].startswith("Watch.\nGoal: Build it\nSteps:\nS1: Attach the bar")
    assert (stream["fps"], stream["start"], stream["stop"], seen["frames"]) == (2.0, 4, 16, 12)
    assert part["counts"]["image tokens"] == 12 * stream["frame_tokens"] == stream["budget"]["frames"]
    assert seen["audit"]["streams"]["events"] == {**stream["kinds"], "user": 1}
    assert seen["audit"]["faults"] == []


def test_the_budget_is_the_whole_context(watching, clips):
    seen = view(watching, clips, "train", 0)
    part = seen["parts"][0]
    budget = part["stream"]["budget"]
    assert sum(budget.values()) == seen["model"]["context"]
    assert budget["free"] == seen["model"]["context"] - part["counts"]["tokens"]
    assert budget["utterances"] + budget["updates"] == part["counts"]["learnt"]


@pytest.mark.parametrize("split", ["train", "dense"])
def test_labels_are_those_of_the_first_epoch(watching, clips, split):
    seed, sample = 7, clips.groups[split][1]
    stream = view(watching, clips, split, 1, seed=seed)["parts"][0]["stream"]
    collate = collator(watching, neg_frame_sampling_rate=clips.neg_frame_sampling_rate, seed=seed)
    batch = collate([item_of(watching, sample, epoch=0)])
    labelled = [point for point in stream["points"] if point["label"] != "not sampled"]
    told = [["speak" in point["label"], "dst" in point["label"]] for point in labelled]
    assert told == batch["decision_labels"].tolist()
    assert 0 < len(labelled) < len(stream["points"])
    assert stream["sampling"] == {"rate": 0.5, "epoch": 0, "seed": seed}


def test_evaluation_labels_every_frame(watching, clips):
    stream = view(watching, clips, "val", 0)["parts"][0]["stream"]
    assert stream["sampling"]["epoch"] is None
    assert sum(stream["labels"].values()) == sum(len(frames) for frames in clips.splits["val"][0].frames)
    assert "not sampled" not in stream["labels"]


def test_captions_are_found_by_name(watching, clips):
    seen = view(watching, clips, "captions", 3)
    assert (seen["split"], seen["audit"]["samples"]) == ("captions", 16)
    assert seen["parts"][0]["stream"]["labels"] == {"context": 1}
    assert seen["parts"][0]["stream"]["bars"] == []


def test_a_long_stream_is_shown_as_its_parts(watching, clips):
    whole = view(watching, clips, "train", 2)["parts"][0]
    parts = view(watching, clips, "train", 2, max_length=260)["parts"]
    assert [part["id"] for part in parts] == [f"{whole['id']}#{number}" for number in range(1, len(parts) + 1)]
    assert len(parts) > 1
    decided = Counter(p["frame"] for part in parts for p in part["stream"]["points"] if p["label"] != "context")
    assert decided == Counter(point["frame"] for point in whole["stream"]["points"])
    assert all(part["counts"]["tokens"] <= 260 for part in parts)


def test_every_eventful_frame_is_pictured(watching, clips):
    stream = view(watching, clips, "val", 1)["parts"][0]["stream"]
    eventful = {point["frame"] for point in stream["points"] if point["label"] != "silent"}
    asked = {place["frame"] for place in stream["places"] if "frame" in place}
    assert eventful | asked <= {*stream["images"], stream["stop"]}
    assert set(stream["strip"]) <= set(stream["images"])
    for place in stream["places"]:
        if "start" in place:
            assert sum(place["start"] <= frame < place["stop"] for frame in stream["images"]) >= min(
                WITHIN, place["stop"] - place["start"]
            )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_states_equal_replay(data, clips):
    sample = data.draw(st.sampled_from(clips.splits["train"]))
    events = list(placed(sample))
    changes = [transition for turn in sample.turns for transition in turn.transitions]
    assert events[-1].after == applied(sample.task.state, changes)
    assert all(earlier.after == later.before for earlier, later in pairwise(events))


def test_labels_without_any_negative(watching, sample):
    found = labels(watching, item_of(watching, sample, 0), Sampling(0.0, 0, 0))
    assert [frame for frame, label in found.items() if label != "not sampled"] == [8, 11]


def test_thumbnails_show_the_frames_that_they_name(sample):
    found = dict(thumbnails(sample, {5, 11, 99}, 8))
    assert list(found) == [5, 11]
    for frame, uri in found.items():
        picture = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
        assert picture.size == (8, 8)
        assert abs(picture.getpixel((4, 4))[0] - frame) <= 3  # JPEG


def test_small_pictures_keep_every_pixel():
    picture = Image.new("RGB", (32, 32), (7, 8, 9))
    uri = thumbnail(picture, 64)
    assert uri.startswith("data:image/png;base64,")
    assert list(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).getdata()) == list(picture.getdata())


def test_features_alone_have_no_thumbnails():
    assert list(thumbnails(Sample("s", (Turn("frames", (Frames(0, 4),)),)), {1, 2}, 64)) == []


@given(st.lists(st.integers(0, 999), unique=True).map(sorted), st.integers(1, 30))
def test_evenly(numbers, count):
    chosen = evenly(numbers, count)
    assert len(chosen) == len(set(chosen)) == min(count, len(numbers))
    assert chosen == [number for number in numbers if number in chosen]
    places = [numbers.index(number) for number in chosen]
    steps = [later - earlier for earlier, later in pairwise(places)]
    assert not steps or max(steps) - min(steps) <= 1
