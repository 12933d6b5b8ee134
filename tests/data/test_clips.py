"""A folder of clips as samples: what is kept, what is looked up where, and what users are told."""

from __future__ import annotations

import json

import numpy as np
import pytest

from prospect.conversation.dst import Transition
from prospect.conversation.sample import Step
from prospect.data.clips.__main__ import main
from prospect.data.clips.dataset import assembly101_dst
from prospect.data.frames import FeatureStore, FrameStore, content_digest, write_features
from prospect.data.store_files import manifest_of
from prospect.errors import UserError


def told(sample):
    return [
        (turn.role, (turn.frames.start, turn.frames.stop) if turn.role == "frames" else turn.text or turn.transitions)
        for turn in sample.turns
    ]


def test_a_clip_becomes_a_sample(clips):
    data = assembly101_dst(clips.write())
    assert (data.name, data.task, data.findings) == ("assembly101_dst", "stream", [])
    (sample,) = data.splits["train"]
    assert sample.id == "v_train/talk_some/0"
    assert told(sample) == [
        ("system", "Help."),
        ("frames", (10, 12)),
        ("user", "What now?"),
        ("frames", (12, 14)),
        ("assistant", "Go on."),
        ("frames", (14, 21)),
        ("dst", (Transition("S1", "complete"), Transition("S2", "start"))),
        ("assistant", "Good, now the wheel."),
        ("frames", (21, 30)),
    ]
    assert [turn.kind for turn in sample.turns if turn.role == "assistant"] == ["responsive", "instruction"]
    assert sample.task.goal == "Build the truck"
    assert sample.task.steps[0] == Step("S1", "Body")
    assert sample.task.state == {"S1": "in_progress", "S2": "not_started", "S3": "not_started"}
    assert sample.meta["quality"] == 4
    assert sample.meta["max_seq_len"] == 4096
    assert all(span.fps == 2 and span.store == sample.frames[0].store for span in sample.frames)
    assert len(list(sample.frames[0].pictures())) == 2


def test_facts_of_streams(clips):
    facts = assembly101_dst(clips.write()).facts()
    assert facts["samples"] == {"train": 1, "val": 1, "test": 1}
    assert facts["streams"]["val"] == {
        "clips": 1,
        "frames": 20,
        "users": {"talk_some": 1},
        "events": {"dst/complete": 1, "dst/start": 1, "speak/instruction": 1, "speak/responsive": 1, "user": 1},
    }
    assert facts["findings"] == {}
    assert "classes" not in facts
    json.dumps(facts)


def test_unknown_fields_are_kept_as_far_as_they_are_small(clips):
    clips.splits["train"][0] |= {"note": "shaky", "embedding": list(range(1000))}
    (sample,) = assembly101_dst(clips.write()).splits["train"]
    assert sample.meta["note"] == "shaky"
    assert "embedding" not in sample.meta


def test_steps_may_stand_in_the_recipe_alone(clips):
    del clips.splits["train"][0]["dst"]
    (sample,) = assembly101_dst(clips.write()).splits["train"]
    assert sample.task.steps == (Step("S1", "Body"), Step("S2", "Wheel"), Step("S3", "Roof"))


def test_the_older_form(clips):
    clip = clips.splits["train"][0]
    newer = assembly101_dst(clips.write()).splits["train"][0]
    spans = [(10, 13), (13, 14), (14, 21), (21, 30)]
    frames = [{"role": "frames", "start": start, "end": stop} for start, stop in spans]
    system, asked, said, *changed, last = clip["conversation"]
    said["progress"] = "The body is done."
    clip["conversation"] = [system, frames[0], asked, frames[1], said, frames[2], *changed, last, frames[3]]
    (clips.folder / "train_training.json").unlink()
    (clips.folder / "train.jsonl").write_text(json.dumps(clip) + "\n\n")
    data = assembly101_dst(str(clips.folder))
    assert data.splits["train"][0].turns == newer.turns
    assert data.splits["train"][0].meta["progress"] == [[4, "The body is done."]]
    assert data.findings == []


def test_ids_are_kept_where_there_are_any(clips):
    clips.splits["val"][0]["id"] = "mine"
    assert assembly101_dst(clips.write()).splits["val"][0].id == "mine"


def test_stores_may_lie_elsewhere(clips, tmp_path):
    folder = clips.write()
    (tmp_path / "root").mkdir()
    (clips.folder / "frames").rename(tmp_path / "root" / "frames")
    with pytest.raises(UserError, match=r"missing-store: 3\n.*data.frame_root"):
        assembly101_dst(folder)
    data = assembly101_dst(folder, frame_root=str(tmp_path / "root"))
    assert data.splits["train"][0].frames[0].store == FrameStore(tmp_path / "root" / "frames" / "v_train.arrow")
    with pytest.raises(UserError, match=r"data.frame_root=/nowhere"):
        assembly101_dst(folder, frame_root="/nowhere")


class TestFeatures:
    @pytest.fixture
    def features(self, clips, tmp_path):
        for split in clips.splits:
            path = tmp_path / "features" / "frames" / f"v_{split}.arrow"
            write_features(path, [np.full((2, 3), n, np.float32) for n in range(40)], {"fps": 2})
        return str(tmp_path / "features")

    def test_beside_frames(self, clips, features):
        frames = assembly101_dst(clips.write(), features=features).splits["train"][0].frames[0]
        assert isinstance(frames.store, FrameStore)
        assert isinstance(frames.features, FeatureStore)
        assert frames.features.features(10, 12)[1, 0, 0] == 11

    def test_instead_of_frames(self, clips, features):
        for path in (clips.folder / "frames").iterdir():
            path.unlink()
        frames = assembly101_dst(clips.write(), features=features).splits["train"][0].frames[0]
        assert frames.store is None
        with pytest.raises(UserError, match=r"data.blank_images=true needs the frames"):
            assembly101_dst(clips.write(), features=features, blank_images=True)

    def test_blank_frames_are_never_replaced_by_features_of_true_ones(self, clips, features):
        frames = assembly101_dst(clips.write(), features=features, blank_images=True).splits["train"][0].frames[0]
        assert (frames.blank, frames.features) == (True, None)

    def test_the_fingerprint_tells_them_apart(self, clips, features):
        folder = clips.write()
        kinds = ({}, {"features": features}, {"blank_images": True})
        assert len({assembly101_dst(folder, **kind).fingerprint for kind in kinds}) == 3


class TestFingerprint:
    def test_it_does_not_depend_on_where_the_data_lies(self, clips, tmp_path):
        before = assembly101_dst(clips.write()).fingerprint
        clips.folder.rename(tmp_path / "moved")
        assert assembly101_dst(str(tmp_path / "moved")).fingerprint == before

    def test_without_a_manifest_the_store_itself_is_hashed(self, clips):
        before = assembly101_dst(clips.write()).fingerprint
        manifest_of(clips.folder / "frames" / "v_val.arrow").unlink()
        assert assembly101_dst(str(clips.folder)).fingerprint == before

    def test_a_manifest_of_another_file_is_not_believed(self, clips):
        before = assembly101_dst(clips.write()).fingerprint
        manifest = manifest_of(clips.folder / "frames" / "v_val.arrow")
        kept = manifest.read_text()
        clips.store("v_val", 41)
        manifest.write_text(kept)
        assert assembly101_dst(str(clips.folder)).fingerprint != before

    @pytest.mark.parametrize(
        "change",
        [
            lambda clip: clip["conversation"][2].update(content="Go."),
            lambda clip: clip["conversation"][2].update(labels="initiative|feedback"),
            lambda clip: clip["conversation"][4].update(content=[{"id": "S3", "transition": "start"}]),
            lambda clip: clip["conversation"][2].update(time=7.0),
            lambda clip: clip.update(end_frame_idx=31),
            lambda clip: clip["dst"][2].update(name="Top"),
            lambda clip: clip.update(inferred_goal="Build"),
        ],
    )
    def test_every_change_shows(self, clips, change):
        before = assembly101_dst(clips.write()).fingerprint
        change(clips.splits["train"][0])
        assert assembly101_dst(clips.write()).fingerprint != before

    def test_another_video_shows(self, clips):
        before = assembly101_dst(clips.write()).fingerprint
        clips.store("v_train", 40, camera=2)
        assert assembly101_dst(str(clips.folder)).fingerprint != before


class TestWarmUp:
    def test_other_files_are_phases(self, clips):
        clips.splits["dense"] = [clips.clip("v_dense")]
        folder = clips.write()
        data = assembly101_dst(folder, warmup={"dense": 0.25})
        (phase,) = data.warmup
        assert (phase.name, phase.share, phase.samples[0].id) == ("dense", 0.25, "v_dense/talk_some/0")
        assert set(data.splits) == {"train", "val", "test"}
        assert data.facts()["warmup"]["dense"]["share"] == 0.25
        others = [assembly101_dst(folder, warmup=shares).fingerprint for shares in ({}, {"dense": 0.5})]
        assert len({data.fingerprint, *others}) == 3

    def test_unread_files_are_told(self, clips):
        clips.splits["dense"] = [clips.clip("v_dense")]
        (finding,) = assembly101_dst(clips.write()).findings
        assert (finding.kind, finding.severity) == ("unread-file", "warning")
        assert "dense_training.json" in finding.message

    @pytest.mark.parametrize(
        ("shares", "named"),
        [
            ({"dense": 0.3}, "data.warmup.dense: there is no dense_training.json"),
            ({"dense": 1.0}, "data.warmup: dense 1"),
            ({"dense": -0.1}, "data.warmup: dense -0.1"),
            ({"val": 0.1}, "data.warmup.val: that is a split"),
        ],
    )
    def test_what_cannot_be(self, clips, shares, named):
        with pytest.raises(UserError, match=named):
            assembly101_dst(clips.write(), warmup=shares)


class TestNoData:
    def test_no_folder(self):
        with pytest.raises(UserError, match=r"data.folder=/nowhere: there is no such folder. It must hold\n  train_tr"):
            assembly101_dst("/nowhere")

    def test_no_files(self, tmp_path):
        with pytest.raises(UserError, match=r"no file of clips in it. It must hold\n  train_training.json"):
            assembly101_dst(str(tmp_path))

    def test_two_files_of_one_split(self, clips):
        folder = clips.write()
        (clips.folder / "train.jsonl").write_text("")
        with pytest.raises(UserError, match=r"train_training.json and train.jsonl hold the same split"):
            assembly101_dst(folder)

    def test_nothing_usable(self, clips):
        for split in clips.splits:
            clips.splits[split][0]["end_frame_idx"] = 99
        with pytest.raises(UserError, match=r"not one clip of it can be used\n  past-store: 3"):
            assembly101_dst(clips.write(), on_bad="skip")


class TestCommand:
    def test_a_sound_folder(self, clips, capsys):
        clips.splits["dense"] = [clips.clip("v_dense")]
        assert main([clips.write()]) == 0
        assert capsys.readouterr().out == "usable clips: train 1, val 1, test 1, dense 1\n"

    def test_errors_are_shown_written_and_told_by_the_exit_code(self, clips, capsys, tmp_path):
        clips.splits["val"][0]["end_frame_idx"] = 99
        assert main([clips.write(), "--json", str(tmp_path / "found.json")]) == 2
        out = capsys.readouterr().out
        assert "past-store" in out
        assert "val 0" in out
        kinds = {
            (finding["kind"], finding["severity"]) for finding in json.loads((tmp_path / "found.json").read_text())
        }
        assert kinds == {("past-store", "error"), ("empty-split", "warning")}

    def test_no_folder(self, capsys):
        assert main(["/nowhere"]) == 2
        assert "there is no such folder" in capsys.readouterr().err


def flip(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("kind", ["frames", "features"])
def test_verify_finds_a_flipped_bit_in_what_is_read(clips, tmp_path, capsys, kind):
    folder = clips.write()
    for name in clips.splits:
        write_features(tmp_path / "f" / "frames" / f"v_{name}.arrow", [np.zeros((1, 2), np.float32)] * 40, {"fps": 2})
    features = str(tmp_path / "f") if kind == "features" else None
    assert assembly101_dst(folder, features, verify=True).findings == []
    root = tmp_path / "f" if kind == "features" else clips.folder
    flip(root / "frames" / "v_val.arrow")
    assert assembly101_dst(folder, features).findings == []  # reading does not hash
    with pytest.raises(UserError, match=r"damaged-store: 1\n.*v_val.arrow has changed since it was written"):
        assembly101_dst(folder, features, verify=True)
    kept = assembly101_dst(folder, features, verify=True, on_bad="skip")
    assert {name: len(samples) for name, samples in kept.splits.items()} == {"train": 1, "val": 0, "test": 1}
    assert main([folder, "--verify", *(["--features", features] if features else [])]) == 2
    assert "damaged-store" in capsys.readouterr().out


def test_features_of_another_version_of_a_video(clips, tmp_path):
    folder = clips.write()
    for name in clips.splits:
        meta = {"fps": 2, "source": content_digest(clips.folder / "frames" / f"v_{name}.arrow")}
        write_features(tmp_path / "f" / "frames" / f"v_{name}.arrow", [np.zeros((1, 2), np.float32)] * 40, meta)
    assert assembly101_dst(folder, str(tmp_path / "f")).findings == []
    clips.store("v_test", 41)
    with pytest.raises(UserError, match=r"stale-features: 1\n.*was made of another version of .*v_test.arrow"):
        assembly101_dst(folder, str(tmp_path / "f"))
