"""The long preset: streams of many contexts, which need a memory, from videos whose looks don't tell the state."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from statistics import mean

import numpy as np
import pytest

from prospect.data.assembly.clip import clip
from prospect.data.assembly.demo import assembly101_dst_demo
from prospect.data.assembly.pictures import frame
from prospect.data.assembly.presets import DENSE, settings
from prospect.data.assembly.story import HOME, PARTS, Scene, story
from prospect.models.stream import for_streams
from prospect.models.tiny import tiny
from prospect.training.audit import encoded_split

PINNED = "dcdeb6ccd8e4d74c24dbc450d6b510c170d91df9736acdc5d6e317cb17be73ca"
CONTEXT = 256  # tokens, of experiments/assembly101_dst_demo_long.yaml


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("long") / "data")
    counts = {"train": 4, "val": 1, "test": 2, "captions_count": 10, "dense_count": 2}
    return assembly101_dst_demo(folder=folder, preset="long", **counts)


def test_what_is_watched_is_at_least_20_contexts_long_and_fits_the_model_whole(data):
    vlm = for_streams(tiny())
    items = encoded_split(vlm, [*data.splits["val"], *data.splits["test"]], "long", None, data.overlap)
    lengths = [len(item.encoded) for item in items]
    assert len(lengths) == 3, "nothing was split"
    assert min(lengths) >= 20 * CONTEXT
    assert max(lengths) <= vlm.max_length


def test_no_long_clip_is_warned_of(data):
    assert data.findings == []


def test_every_task_leaves_room_to_watch_in_the_context(data):
    pieces = for_streams(tiny()).pieces
    for sample in data.splits["test"]:
        assert len(pieces.prompt(sample.turns[:1], sample.task)) < 0.75 * CONTEXT


def test_videos_to_learn_from_are_of_all_lengths():
    lengths = sorted(len(story(0, "train", index, "long").scenes) for index in range(80))
    assert lengths[len(lengths) // 10] < 500
    assert 700 < lengths[len(lengths) // 2] < 2000
    assert lengths[-len(lengths) // 10] > 4000


def test_videos_last_about_as_long_as_they_should_however_many_steps_they_have():
    told = [story(0, "test", index, "long") for index in range(40)]
    for few in (True, False):
        assert 5700 < mean(len(each.scenes) for each in told if (len(each.parts) < 5) == few) < 7500


def test_the_last_change_comes_many_contexts_after_the_first_frame():
    for index in range(12):
        made = clip(0, "test", index, "long")
        start, end = made["start_frame_idx"], made["end_frame_idx"]
        happened = [turn["end_frame"] for turn in made["conversation"] if turn["role"] == "DST_UPDATE"]
        assert happened[-1] - start > 0.4 * (end - start)


def test_no_frame_tells_how_far_the_toy_has_come():
    """With studs in sight a window without a past could count them."""
    for manner in ("lies", "carried", "crooked", "turned", "fixed"):
        scenes = [Scene(PARTS[0], manner, HOME, PARTS[1 : 1 + n], covered=True) for n in range(7)]
        assert all((frame(scene) == frame(scenes[0])).all() for scene in scenes)
        assert (frame(replace(scenes[3], covered=False)) != frame(scenes[3])).any()
    for split in ("train", DENSE, "val", "test"):
        assert settings("long", split).covered
        assert all(scene.covered for scene in story(0, split, 0, "long").scenes)


def test_captions_of_a_covered_toy_show_no_studs(data):
    toys = {
        np.asarray(picture)[26:29].tobytes()
        for sample in data.warmup[0].samples
        for span in sample.frames
        for picture in span.pictures()
    }
    assert len(toys) == 1


def test_long_clips_are_the_same_on_every_machine():
    made = [clip(0, split, index, "long") for split in ("train", "val", "test") for index in range(4)]
    assert sha256(json.dumps(made).encode()).hexdigest() == PINNED


def test_clips_begin_with_a_part_in_any_state():
    """A watcher that begins anew does so wherever its context is full."""
    begun = set()
    for index in range(90):
        made = clip(0, "train", index, "long")
        scene = story(0, "train", index, "long").scenes[made["start_frame_idx"]]
        if made["start_frame_idx"]:
            begun.add(scene.manner if scene.part else None)
    assert begun == {None, "lies", "carried", "crooked", "turned", "fixed"}
