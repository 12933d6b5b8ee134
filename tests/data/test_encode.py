"""Stores of features: complete after any stop, the same bytes as without one, and never of two towers in one folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from prospect.data.clips.dataset import assembly101_dst
from prospect.data.encode import Tower, share, videos, why, write
from prospect.data.frames import FeatureStore, content_digest, verify
from prospect.data.store_files import manifest_of
from prospect.errors import UserError

FACTS = {"tower": "ab12", "arithmetic": "float32", "dtype": "float32", "frame_grid": [2]}
SPLITS = ("train", "val", "test")


def colours(pictures) -> np.ndarray:
    return np.stack([np.asarray(picture.resize((2, 2)), np.float32).reshape(4, 3) for picture in pictures])


def unused(pictures) -> np.ndarray:
    raise AssertionError("nothing is left to encode")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def data(clips):
    return assembly101_dst(clips.write())


@pytest.fixture
def made(data, tmp_path) -> Path:
    assert write(videos(data), tmp_path / "made", Tower(colours, FACTS), batch=7) == 3
    return tmp_path / "made"


def test_every_video_once_by_its_own_name(clips):
    clips.splits["train"].append(clips.splits["train"][0] | {"clip_idx": 1, "start_frame_idx": 11})
    clips.store("v_val", 50)
    found = videos(assembly101_dst(clips.write()))
    assert [video.name for video in found] == [f"frames/v_{name}.arrow" for name in ("val", "test", "train")]
    assert [len(video.store) for video in found] == [50, 40, 40]


def test_videos_of_warm_up_phases_are_among_them(clips):
    clips.splits["dense"] = [clips.clip("v_dense")]
    data = assembly101_dst(clips.write(), warmup={"dense": 0.5})
    assert "frames/v_dense.arrow" in [video.name for video in videos(data)]


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_ranks_share_the_videos_and_their_frames(clips, ranks):
    clips.splits["train"] += [clips.clip(f"v_{n}", video_uid=f"v_{n}") for n in range(9)]
    lengths = {f"v_{n}": length for n, length in enumerate((400, 130, 120, 70, 70, 60, 50, 45, 41))}
    for name, length in lengths.items():
        clips.store(name, length)
    every = videos(assembly101_dst(clips.write()))
    hands = [share(every, rank, ranks) for rank in range(ranks)]
    assert sorted((video for hand in hands for video in hand), key=every.index) == every
    loads = [sum(len(video.store) for video in hand) for hand in hands]
    assert max(loads) <= max(400, sum(loads) / ranks + 40)


def test_features_are_numbered_as_the_frames_are(data, made):
    for video in videos(data):
        store = FeatureStore(made / video.name)
        assert np.array_equal(store.features(0, 40), colours(video.store.frames(0, 40)))
        source = content_digest(video.store.path)
        assert store.meta == {**FACTS, "fps": 2, "video_uid": Path(video.name).stem, "source": source}
        assert verify(store.path) == []


def test_clips_read_them(clips, made):
    frames = assembly101_dst(clips.write(), features=str(made)).splits["train"][0].frames[0]
    assert frames.features.features(frames.start, frames.stop).shape == (2, 4, 3)


def test_what_is_there_is_not_made_again(data, made):
    before = files(made)
    assert write(videos(data), made, Tower(unused, FACTS), batch=7) == 0
    assert files(made) == before


@pytest.mark.parametrize("harm", ["bit", "tower", "cut", "no manifest", "gone"])
def test_a_damaged_store_is_made_again(data, made, harm):
    before, path = files(made), made / "frames" / "v_val.arrow"
    raw = bytearray(path.read_bytes())
    if harm == "bit":
        raw[len(raw) // 2] ^= 4
        path.write_bytes(raw)
    elif harm == "tower":
        path.write_bytes(raw.replace(b"ab12", b"ab13"))
    elif harm == "cut":
        path.write_bytes(raw[: len(raw) // 2])
    else:
        (path if harm == "gone" else manifest_of(path)).unlink()
    assert write(videos(data), made, Tower(colours, FACTS), batch=7) == 1
    assert files(made) == before


def test_a_video_that_changed_is_encoded_again(clips, data, made):
    (video,) = (video for video in videos(data) if "val" in video.name)
    clips.store("v_val", 45)
    assert why(made / video.name, video) == "the video has changed: again"
    assert write(videos(data), made, Tower(colours, FACTS), batch=7) == 1
    assert len(FeatureStore(made / video.name)) == 45


@pytest.mark.parametrize(("key", "value"), [("tower", "cd34"), ("dtype", "float16"), ("arithmetic", "bfloat16")])
def test_another_tower_s_folder_is_left_alone(data, made, key, value):
    before = files(made)
    with pytest.raises(UserError, match=rf"v_\w+.arrow .*{key} {FACTS[key]} instead of {value}.*another folder"):
        write(videos(data), made, Tower(unused, FACTS | {key: value}), batch=7)
    assert files(made) == before


def test_frames_are_not_written_over(clips, data):
    before = files(clips.folder)
    with pytest.raises(UserError, match="holds no features of this command: name another folder"):
        write(videos(data), clips.folder, Tower(unused, FACTS), batch=7)
    assert files(clips.folder) == before


def test_damaged_frames_are_not_encoded(clips, data, tmp_path):
    path = clips.folder / "frames" / "v_train.arrow"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(UserError, match=r"v_train.arrow has changed since it was written: write it again"):
        write(videos(data), tmp_path / "out", Tower(colours, FACTS), batch=7)
    assert not (tmp_path / "out" / "frames" / "v_train.arrow").exists()


def test_numbers_that_do_not_fit_name_the_frame(data, tmp_path):
    def overflowing(pictures):
        made = colours(pictures)
        made[2, 1, 1] = np.inf
        return made

    with pytest.raises(UserError, match=r"frame 2 of .*its features are no numbers; try dtype=float32"):
        write(videos(data), tmp_path / "out", Tower(overflowing, FACTS), batch=7)
    assert files(tmp_path / "out") == {}


def test_data_whose_frames_cannot_be_encoded(clips, made):
    folder = clips.write()
    with pytest.raises(UserError, match="blank_images=true"):
        videos(assembly101_dst(folder, blank_images=True))
    clips.splits["val"][0]["frames_file"] = "../clips/frames/v_val.arrow"
    with pytest.raises(UserError, match=r"lies outside of .*data.frame_root"):
        videos(assembly101_dst(clips.write()))
    (clips.folder / "frames").rename(clips.folder / "elsewhere")
    clips.splits["val"][0]["frames_file"] = "frames/v_val.arrow"
    with pytest.raises(UserError, match="clips without a frame store"):
        videos(assembly101_dst(clips.write(), features=str(made)))


def test_a_person_sees_a_bar_and_a_log_has_lines(data, tmp_path, capsys):
    write(videos(data), tmp_path / "log", Tower(colours, FACTS), batch=7)
    assert capsys.readouterr().out.splitlines()[-1] == "3/3  frames/v_val.arrow  40 frames, new"
    with (tmp_path / "screen").open("w") as screen:
        console = Console(file=screen, force_terminal=True, width=100)
        write(videos(data), tmp_path / "bar", Tower(colours, FACTS), batch=7, console=console)
    assert "120/120" in (tmp_path / "screen").read_text()


WORKER = """
import sys, time
from pathlib import Path
import numpy as np
from prospect.data.clips.dataset import assembly101_dst
from prospect.data.encode import Tower, videos, write

def slow(pictures):
    time.sleep(0.05)
    return np.stack([np.asarray(picture.resize((2, 2)), np.float32).reshape(4, 3) for picture in pictures])

facts = {"tower": "ab12", "arithmetic": "float32", "dtype": "float32", "frame_grid": [2]}
write(videos(assembly101_dst(sys.argv[1])), Path(sys.argv[2]), Tower(slow, facts), batch=7)
"""


def test_a_killed_command_goes_on_to_the_same_bytes(data, clips, made, tmp_path):
    out = tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    worker = [sys.executable, "-c", WORKER, str(clips.folder), str(out)]
    process = subprocess.Popen(worker, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (list(out.glob("frames/*.manifest.json")) and list(out.glob("frames/.v_train.arrow.*"))):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(out.glob("frames/.v_train.arrow.*"))  # half a store, under no name that anybody reads
    assert all(verify(path) == [] for path in out.glob("frames/*.arrow"))
    assert len(list(out.glob("frames/*.arrow"))) == 1
    subprocess.run(worker, env=environment, check=True, capture_output=True, timeout=60)
    assert files(out) == files(made)
