"""The built-in world as data: true-format files and stores, the same everywhere, no task in two splits."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from prospect.data.assembly.demo import assembly101_dst_demo
from prospect.data.assembly.pictures import captioned, frames
from prospect.data.dataset import Phase
from prospect.data.frames import verify
from prospect.errors import UserError

SMALL = {"train": 6, "val": 3, "test": 3, "captions_count": 20, "dense_count": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "data"


@pytest.fixture(scope="module")
def data(folder):
    return assembly101_dst_demo(folder=str(folder), **SMALL)


def pixels(sample):
    return np.stack([np.asarray(picture) for span in sample.frames for picture in span.pictures()])


def test_sizes_phases_and_a_clean_audit(data):
    assert (data.name, data.task, data.labels, data.findings) == ("assembly101_dst_demo", "stream", (), [])
    assert {name: len(samples) for name, samples in data.splits.items()} == {"train": 6, "val": 3, "test": 3}
    assert [(p.name, p.share, len(p.samples)) for p in data.warmup] == [("captions", 0.12, 20), ("dense", 0.38, 4)]
    assert all(isinstance(phase, Phase) for phase in data.warmup)


def test_every_machine_makes_the_same(data, folder, tmp_path):
    """A changed figure means a changed generator: raise GENERATOR, or old caches would be taken for new data."""
    again = assembly101_dst_demo(folder=str(tmp_path / "again"), **SMALL)
    assert again.fingerprint == data.fingerprint
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    assert all((folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in files)
    seen = hashlib.sha256(b"".join(pixels(sample).tobytes() for sample in data.splits["train"]))
    assert seen.hexdigest()[:16] == "5945b7891d50353d"
    assert all(verify(store) == [] for store in folder.rglob("*.arrow"))


def test_the_pixels_are_those_that_were_drawn(data):
    for split, samples in (*data.splits.items(), ("dense", data.warmup[1].samples)):
        for index, sample in enumerate(samples):
            first, last = sample.frames[0].start, sample.frames[-1].stop
            assert (pixels(sample) == frames(0, split, index)[first:last]).all()
    for index, sample in enumerate(data.warmup[0].samples):
        picture, name = captioned(0, index)
        assert (pixels(sample)[0] == picture).all()
        assert [turn.text for turn in sample.turns if turn.role == "assistant"] == [name]


def test_captions_decide_nothing_and_have_no_task(data):
    for sample in data.warmup[0].samples:
        seen, said = sample.turns
        assert (seen.role, seen.learn, said.role, said.learn, sample.task) == ("frames", False, "assistant", True, None)


def test_dense_clips_are_short_and_eventful(data):
    for sample in data.warmup[1].samples:
        count = sum(len(span) for span in sample.frames)
        assert 24 <= count <= 40
        assert sum(turn.role in ("dst", "assistant") for turn in sample.turns) > count / 6


def test_splits_share_no_task(data):
    def tasks(samples):
        return {frozenset(step.name for step in sample.task.steps) for sample in samples}

    train = tasks(data.splits["train"]) | tasks(data.warmup[1].samples)
    assert not train & tasks(data.splits["val"])
    assert not train & tasks(data.splits["test"])
    assert not tasks(data.splits["val"]) & tasks(data.splits["test"])


def test_kinds_are_the_world_s_events(data):
    kinds = {turn.kind for sample in data.splits["train"] for turn in sample.turns if turn.role == "assistant"}
    assert {"next", "good", "answer"} <= kinds <= {"next", "good", "answer", "crooked", "wrong", "end"}


def test_a_longer_split_begins_with_the_shorter_one(data, tmp_path):
    longer = assembly101_dst_demo(folder=str(tmp_path / "more"), **SMALL | {"train": 8})
    for one, other in zip(data.splits["train"], longer.splits["train"], strict=False):
        assert (one.id, one.task) == (other.id, other.task)
        assert (pixels(one) == pixels(other)).all()


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"preset": "hard"}, {"val": 2}, {"dense": 0.3}, {"blank_images": True}, {"tell_state": False}],
)
def test_other_settings_give_other_data(data, change):
    assert assembly101_dst_demo(**SMALL | change).fingerprint != data.fingerprint


def test_clips_of_one_type_of_users_keep_the_captions(data):
    talk = assembly101_dst_demo(**SMALL, user_types=["talk_more"])
    found = {sample.meta["user_type"] for split in talk.splits.values() for sample in split}
    assert found == {"talk_more"}
    phases = {phase.name: {sample.meta["user_type"] for sample in phase.samples} for phase in talk.warmup}
    assert phases == {"captions": {"caption"}, "dense": {"talk_more"}}
    assert [sample.id for sample in talk.splits["train"]] == [
        sample.id for sample in data.splits["train"] if sample.meta["user_type"] == "talk_more"
    ]


def test_a_type_of_users_that_no_clip_has():
    with pytest.raises(UserError, match=r"data.user_types: no clip has the type chatty; there are no_talk, talk_more"):
        assembly101_dst_demo(**SMALL, user_types=["chatty"])


def test_without_warm_up_there_is_none(data):
    plain = assembly101_dst_demo(**SMALL, captions=0, dense=0)
    assert plain.warmup == ()
    assert plain.fingerprint != data.fingerprint


def test_blank_frames_keep_their_size_and_show_nothing(data):
    blank = assembly101_dst_demo(**SMALL, blank_images=True).splits["val"][0]
    assert pixels(blank).shape == pixels(data.splits["val"][0]).shape
    assert pixels(blank).std() == 0


def test_files_are_in_the_published_form(folder):
    clips = json.loads((folder / "train_training.json").read_text())
    assert [clip["frames_file"] for clip in clips][:2] == [
        "frames/toy_train_00000.arrow",
        "frames/toy_train_00001.arrow",
    ]
    assert {"video_uid", "clip_idx", "start_frame_idx", "end_frame_idx", "fps", "dst", "conversation"} <= clips[
        0
    ].keys()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"train": -1}, "data.train=-1"),
        ({"preset": "odd"}, "data.preset=odd"),
        ({"dense_count": 0}, "data.dense=0.38"),
        ({"captions": 0.7}, "data.warmup"),
    ],
)
def test_settings_that_cannot_be_made(change, named):
    with pytest.raises(UserError, match=named):
        assembly101_dst_demo(**SMALL | change)
