"""Claims: frames of a video are taken by their timestamps, none later than its time; a folder is played as it lies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.data.assembly.demo import assembly101_dst_demo
from prospect.errors import UserError
from prospect.models.stream import for_streams
from prospect.models.tiny import tiny
from prospect.streaming import live
from prospect.streaming.recorded import recorded
from prospect.streaming.stream import WatchSettings
from prospect.streaming.watcher import watch


@given(st.lists(st.floats(0.001, 2.0), min_size=1, max_size=60), st.sampled_from([0.5, 2.0, 5.0]))
def test_the_newest_frame_that_is_not_later(gaps, fps):
    times = [0.0]
    for gap in gaps:
        times.append(times[-1] + gap)
    taken = list(live.sampled(((time, time) for time in times), fps))
    for number, time in enumerate(taken):
        assert time == max(other for other in times if other <= number / fps)
    assert len(taken) - 1 <= times[-1] * fps < len(taken)


def test_a_video_of_thirty_frames_a_second_does_not_drift():
    """Every 14th of 29.97 frames would be 42 s off after ten minutes."""
    times = [number / 29.97 for number in range(int(600 * 29.97))]
    taken = list(live.sampled(((time, time) for time in times), 2.0))
    assert all(number / 2 - 1 / 29.97 <= time <= number / 2 for number, time in enumerate(taken))
    assert len(taken) == 1200


def test_a_folder_of_pictures_is_watched_as_the_recorded_clip_is(cache, tmp_path, monkeypatch, capsys):
    counts = {"train": 1, "val": 1, "test": 1, "captions_count": 1, "dense_count": 1}
    sample = next(iter(assembly101_dst_demo(**counts, captions=0, dense=0).splits["test"]))
    frames = [picture for span in sample.frames for picture in span.pictures()]
    for number, frame in enumerate(frames):
        frame.save(tmp_path / f"{number:04d}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    vlm = for_streams(tiny(seed=1, device="cpu", width=48, layers=1), seed=1)
    settings = WatchSettings(0.12, 0.12)
    played = live.Stream(
        recorded(sample).system, sample.task, live.with_words(live.frames_of(tmp_path, 2.0), {}), fps=2.0
    )
    silent = recorded(sample)
    told = live.Stream(silent.system, silent.task, [(frame, []) for frame, _ in silent.source], fps=2.0)
    assert list(watch(vlm, played, settings)) == list(watch(vlm, told, settings))
    monkeypatch.setattr(live, "trained", lambda run, model: vlm)
    words = ["run", str(tmp_path), "--step", "Attach the red disc", "--say", "1.0", "Which part is this?"]
    assert live.main([*words, "--speak-threshold", "0.0"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= len(frames)


@pytest.mark.parametrize(("name", "message"), [("empty", "holds no pictures"), ("nowhere", "no such folder or video")])
def test_a_source_that_cannot_be_watched_is_one_message(name, message, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert live.main(["run", str(tmp_path / name)]) == 2
    assert message in capsys.readouterr().err


def test_a_video_without_the_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    (tmp_path / "film.mp4").write_bytes(b"0")
    with pytest.raises(UserError, match=r"pip install -e '\.\[video\]'"):
        next(live.frames_of(tmp_path / "film.mp4", 2.0))
