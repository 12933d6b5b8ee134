from __future__ import annotations

import json

import pytest
from tests import commands
from tests.streaming.films import Checked, Trained

from prospect.data.assembly.demo import assembly101_dst_demo
from prospect.models.loading import trained as loaded
from prospect.streaming import watcher
from prospect.streaming.feeding import Feeder
from prospect.streaming.stream import WatchSettings

COUNTS = {"train": 60, "val": 10, "test": 20, "captions_count": 100, "dense_count": 60}
BRIEF = ["max_steps=80", "warmup_steps=5", "eval_steps=80", "save_steps=80"]


@pytest.fixture
def fed(monkeypatch):
    """Gives `watch` another kind of Feeder from now on, for single streams, and tells which are made."""

    def by(kind):
        made = []

        def make(vlm, rows, length):
            if rows > 1:
                return Feeder(vlm, rows, length)
            made.append(kind(vlm, rows, length))
            return made[-1]

        monkeypatch.setattr(watcher, "Feeder", make)
        return made

    return by


@pytest.fixture
def checked(fed):
    """The Feeders that `watch` makes from now on, each checking every call."""
    return fed(Checked)


@pytest.fixture(scope="session")
def clips(cache):
    """A few clips of the built-in world, as pictures."""
    counts = {"train": 0, "val": 0, "test": 4, "captions_count": 0, "dense_count": 0}
    return assembly101_dst_demo(**counts, captions=0, dense=0).splits["test"]


@pytest.fixture(scope="session")
def trained(cache, tmp_path_factory) -> Trained:
    """What a short `python train.py` leaves: far from done, but it speaks and updates all over."""
    words = [*(f"data.{key}={value}" for key, value in COUNTS.items()), *(f"trainer.args.{word}" for word in BRIEF)]
    folder = commands.trained(tmp_path_factory.mktemp("brief"), *words, "watch.clips=0")
    metrics = json.loads((folder / "metrics.json").read_text())
    chosen = (metrics["val/speak/threshold"], metrics["val/dst/threshold"])
    return Trained(
        loaded(str(folder), {}),
        assembly101_dst_demo(**COUNTS).splits["test"],
        WatchSettings(*chosen, dst_tokens=12, speak_tokens=12),
    )
