"""Each fault is planted and found, named where it is, and nothing else is."""

from __future__ import annotations

import pytest

from prospect.data.clips.dataset import assembly101_dst, read
from prospect.errors import UserError


def turn(clips, place, **change):
    clips.splits["train"][0]["conversation"][place] |= change


def clip(clips, **change):
    clips.splits["train"][0] |= change


def drop(clips, key):
    del clips.splits["train"][0][key]


def add(clips, split="train", video="v_train", **change):
    clips.splits[split].append(clips.clip(video, **change))


def untold(clips):
    drop(clips, "initial_dst_state")
    clip(clips, conversation=[{"role": "assistant", "content": "Go.", "time": 6.0}])


CHANGE = [{"id": "S9", "transition": "start"}]
ERRORS = {  # planted fault -> kind, words of the message
    "before the clip": (
        lambda c: turn(c, 1, time=4.5),
        "outside",
        "turn 1 (user) is at frame 9, not in frames 10 to 30",
    ),
    "after the clip": (lambda c: turn(c, 5, time=15.0), "outside", "turn 5 (assistant) is at frame 30"),
    "illegal": (
        lambda c: turn(c, 4, content=[{"id": "S1", "transition": "start"}]),
        "illegal-transition",
        "turn 4: S1->",
    ),
    "no such step": (lambda c: turn(c, 4, content=CHANGE), "illegal-transition", "the task has no such step"),
    "unknown change": (lambda c: turn(c, 3, content=[{"id": "S1", "transition": "end"}]), "bad-update", "turn 3"),
    "no changes": (lambda c: turn(c, 3, content=[]), "bad-update", "turn 3: an update without"),
    "unknown state": (lambda c: clip(c, initial_dst_state={"S9": "completed"}), "bad-steps", "state names step S9"),
    "unknown status": (lambda c: clip(c, initial_dst_state={"S1": "done"}), "bad-steps", "unknown status 'done'"),
    "step id": (lambda c: c.splits["train"][0]["dst"][0].update(id="S 1"), "bad-steps", "step id 'S 1'"),
    "step ids": (lambda c: c.splits["train"][0]["dst"][0].update(id="S2"), "bad-steps", "S2, S2, S3"),
    "past its store": (lambda c: clip(c, end_frame_idx=400), "past-store", "ends at frame 400 and"),
    "no store": (lambda c: clip(c, frames_file="frames/x.arrow"), "missing-store", "frames/x.arrow"),
    "hurt store": (
        lambda c: (c.folder / "frames/v_train.arrow").write_bytes(b"x"),
        "unreadable-store",
        "v_train.arrow",
    ),
    "other rate": (lambda c: c.store("v_train", fps=30 / 14), "rate-differs", "has 2 frames a second and"),
    "no frames": (lambda c: clip(c, end_frame_idx=10), "empty-clip", "frames 10 to 10"),
    "silence": (lambda c: clip(c, conversation=[]), "empty-conversation", "nobody says anything"),
    "same identity": (lambda c: add(c, id="x"), "duplicate", "the identity v_train/talk_some/0 is that of train_t"),
    "same id": (lambda c: add(c, clip_idx=1, id="v_train/talk_some/0"), "duplicate", "the id v_train/talk_some/0"),
    "video in two splits": (lambda c: add(c, "val", clip_idx=1), "overlap", "v_train of train is also in val: val_"),
    "no time": (lambda c: turn(c, 2, time=None), "no-time", "turn 2 (assistant): time is None"),
    "odd time": (lambda c: turn(c, 2, time=float("nan")), "no-time", "turn 2 (assistant): time is nan"),
    "odd role": (lambda c: turn(c, 2, role="narrator"), "unknown-schema", "turn 2: unknown role 'narrator'"),
    "no words": (lambda c: turn(c, 2, content=""), "unknown-schema", "turn 2 (assistant): content must be a text"),
    "no video": (lambda c: drop(c, "video_uid"), "unknown-schema", "video_uid must be a text"),
    "odd rate": (lambda c: clip(c, fps=0), "unknown-schema", "fps is 0"),
}
WARNINGS = {
    "inclusive": (lambda c: turn(c, 2, end_frame=13), "inclusive-spans", "at 1 turns (2)"),
    "overlapping": (lambda c: turn(c, 2, start_frame=12), "overlapping-spans", "at 1 turns (2)"),
    "elsewhere": (lambda c: turn(c, 2, start_frame=15, end_frame=18), "span-differs", "at 1 turns (2)"),
    "state before a turn": (lambda c: turn(c, 3, dst_state={"S1": "completed"}), "state-differs", "at 1 turns (3)"),
    "state of no step": (lambda c: turn(c, 3, dst_state={"S9": "completed"}), "state-differs", "at 1 turns (3)"),
    "first state": (
        lambda c: c.splits["train"][0]["dst"][2].update(start_ts=1.0),
        "initial-state",
        "S3 is not_started",
    ),
    "no first state": (untold, "no-initial-state", "begins at frame 10"),
    "disorder": (lambda c: c.splits["train"][0]["conversation"].reverse(), "unordered", "are not in the order"),
    "crowd": (
        lambda c: c.splits["train"][0]["conversation"].extend(
            {"role": role, "time": 14.5, "content": role} for role in ("assistant", "user", "assistant")
        ),
        "crowded-end",
        "turn 8 answers a user",
    ),
    "no test": (lambda c: c.splits["test"].clear(), "empty-split", "test has no clips"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(clips, name):
    plant, kind, words = ERRORS[name]
    plant(clips)
    clips.write()
    if name == "hurt store":  # writing leaves stores as they are
        assert (clips.folder / "frames/v_train.arrow").read_bytes() == b"x"
    errors = [finding for finding in read(clips.folder).findings if finding.severity == "error"]
    assert {finding.kind for finding in errors} == {kind}
    assert words in errors[0].message
    assert "train_training.json[" in errors[0].message
    with pytest.raises(UserError, match=f"{len(errors)} errors .data.on_bad=skip leaves these clips out"):
        assembly101_dst(str(clips.folder))


def test_bad_clips_are_left_out_when_asked(clips):
    clips.splits["train"] += [clips.clip("v_train", clip_idx=1, end_frame_idx=400), clips.clip("v_train", clip_idx=2)]
    data = assembly101_dst(clips.write(), on_bad="skip")
    assert [sample.id for sample in data.splits["train"]] == ["v_train/talk_some/0", "v_train/talk_some/2"]
    assert data.facts()["findings"] == {"past-store": 1}


def test_what_is_held_out_stays_when_splits_overlap(clips):
    add(clips, "val")  # even with the very same identity
    data = assembly101_dst(clips.write(), on_bad="skip")
    assert (len(data.splits["train"]), len(data.splits["val"])) == (0, 2)


def test_warm_up_may_share_videos_with_train_but_not_with_test(clips):
    clips.splits["dense"] = [clips.clip("v_train", clip_idx=1), clips.clip("v_test", clip_idx=1)]
    clips.write()
    (error,) = [found for found in read(clips.folder, warmup=("dense",)).findings if found.severity == "error"]
    assert (error.kind, error.sample) == ("overlap", "v_test/talk_some/1")


@pytest.mark.parametrize("name", WARNINGS)
def test_warnings(clips, name):
    plant, kind, words = WARNINGS[name]
    plant(clips)
    findings = assembly101_dst(clips.write()).findings
    found = [finding for finding in findings if finding.kind == kind]
    assert found, findings
    assert words in found[0].message
    assert {finding.severity for finding in findings} == {"warning"}


def test_a_clip_may_end_with_its_store(clips):
    clip(clips, end_frame_idx=40)
    assert assembly101_dst(clips.write()).findings == []
    clip(clips, end_frame_idx=41)
    with pytest.raises(UserError, match=r"past-store: 1\n.* ends at frame 41 and .* holds 40 frames"):
        assembly101_dst(clips.write())


def test_a_step_that_starts_at_the_first_frame_has_not_started_before_it(clips):
    clips.splits["train"][0]["dst"][2].update(start_ts=5.2)  # frame 10, as the clip itself
    assert assembly101_dst(clips.write()).findings == []


def test_long_clips(clips):
    (first, *_) = assembly101_dst(clips.write(), long_clip=19).findings
    assert (first.kind, first.severity) == ("long-clip", "warning")
    assert "20 frames; data.long_clip=19" in first.message


@pytest.mark.parametrize("end", [12, 14])
def test_spans_of_the_older_form_that_do_not_tile(clips, end):
    frames = [{"role": "frames", "start": 10, "end": end}, {"role": "frames", "start": 13, "end": 30}]
    said = {"role": "assistant", "content": "Go."}
    clip(clips, conversation=[frames[0], said, frames[1]], initial_dst_state={"S1": "in_progress"})
    (finding,) = assembly101_dst(clips.write()).findings
    assert finding.kind == "untiled-frames"
    assert f"at 1 places: {end}, then 13" in finding.message


def test_spans_of_the_older_form_that_end_at_another_time(clips):
    frames = [{"role": "frames", "start": 10, "end": 13}, {"role": "frames", "start": 13, "end": 30}]
    said = {"role": "assistant", "content": "Go.", "time": 9.0}
    clip(clips, conversation=[frames[0], said, frames[1]])
    data = assembly101_dst(clips.write())
    assert [finding.kind for finding in data.findings] == ["span-differs"]
    assert data.splits["train"][0].frames[0].stop == 19  # its time decides


def test_broken_json_is_named_with_its_line(clips):
    clips.write()
    path = clips.folder / "train_training.json"
    path.write_text(path.read_text().replace('"clip_idx": 0,', '"clip_idx": 0;'))
    findings = read(clips.folder).findings
    assert [finding.kind for finding in findings] == ["bad-json", "empty-split"]
    assert "train_training.json: not JSON: " in findings[0].message
    assert "line 5 column" in findings[0].message


def test_broken_lines_are_named_and_the_others_read(clips):
    clips.write()
    (clips.folder / "train_training.json").unlink()
    (clips.folder / "train.jsonl").write_text('{"video_uid": 3}\n{"a":\n[]\n')
    kinds = [(finding.kind, finding.message.partition(": ")[0]) for finding in read(clips.folder).findings]
    assert kinds[:3] == [
        ("bad-json", "train.jsonl:2"),
        ("unknown-schema", "train.jsonl:1"),
        ("unknown-schema", "train.jsonl:3"),
    ]


def test_a_list_is_expected(clips):
    clips.write()
    (clips.folder / "val_training.json").write_text("{}")
    assert "a list of clips is expected, not an object" in read(clips.folder).findings[0].message
