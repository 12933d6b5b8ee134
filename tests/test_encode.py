"""`python -m prospect.data.encode` as a user runs it: what it writes, its ranks, and mistakes told at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from prospect.data.assembly.demo import assembly101_dst_demo
from prospect.data.encode import videos
from prospect.data.frames import FeatureStore, verify
from prospect.models.features import encode_frames, tower_digest
from prospect.models.stream import for_streams
from prospect.models.stream_settings import StreamSettings
from prospect.models.tiny import tiny

ROOT = Path(__file__).parent.parent
SMALL = {"train": 2, "val": 1, "test": 1, "captions": 0, "captions_count": 0, "dense": 0, "dense_count": 0}
DATA = ["data=assembly101_dst_demo", *(f"data.{key}={value}" for key, value in SMALL.items())]


def encode(*words: str, cwd: Path, rank: int = 0, ranks: int = 1) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "RANK": str(rank), "WORLD_SIZE": str(ranks)}
    command = [sys.executable, "-m", "prospect.data.encode", *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def test_two_ranks_write_what_the_model_makes_of_frames(tmp_path):
    words = ["model=tiny", "model.seed=5", "model.scale_factor=1", "model.stream.frame_grid=[1,3]", *DATA]
    made_by = []
    for rank in range(2):
        done = encode(*words, "out=features", "dtype=float32", "batch=16", cwd=tmp_path, rank=rank, ranks=2)
        assert done.returncode == 0, done.stderr
        made_by += map(int, re.findall(r"; (\d+) of them made now", done.stdout))
    assert len(made_by) == 2
    assert min(made_by) >= 1  # dealt out by frames, so not always two each
    assert sum(made_by) == 4
    vlm = for_streams(tiny(seed=5, device="cpu", scale_factor=1, stream=StreamSettings(frame_grid=[1, 3])))
    for video in videos(assembly101_dst_demo(**SMALL)):
        store = FeatureStore(tmp_path / "features" / video.name)
        assert verify(store.path) == []
        assert (store.shape, store.dtype, store.fps) == ((10, 96), np.float32, 2.0)
        assert store.meta["tower"] == tower_digest(vlm)
        assert (store.meta["frame_grid"], store.meta["frame_size"]) == ([1, 3], 32)
        assert store.meta["model"] == "tiny with random weights"
        made = encode_frames(vlm, video.store.frames(0, len(video.store))).numpy()
        assert np.abs(store.features(0, len(store)) - made).max() <= 1e-6


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([*DATA], "out: missing; set it with out=VALUE"),
        ([*DATA, "out=o", "dtype=float8"], "dtype: "),
        ([*DATA, "out=o", "bach=2"], "bach: unknown; did you mean batch?"),
        ([*DATA, "out=o", "batch=0"], "batch=0: at least one frame at a time"),
        ([*DATA, "out=o", "model.device=meta"], "nothing to encode with"),
        (["data=element_demo", "data.train=5", "data.val=5", "data.test=5", "out=o"], "choose data of streams"),
        (["data=assembly101_dst", "data.folder=gone", "out=o"], "gone: there is no such folder. It must hold"),
    ],
)
def test_mistakes_are_one_message(tmp_path, words, told):
    done = encode(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "o").exists()
