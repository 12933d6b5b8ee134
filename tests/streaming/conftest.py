from __future__ import annotations

import pytest
from tests.streaming.films import Checked

from prospect.data.assembly_demo import assembly101_dst_demo
from prospect.streaming import watcher
from prospect.streaming.feeding import Feeder


@pytest.fixture
def checked(monkeypatch):
    """The Feeders that `watch` makes from now on, each checking every call."""
    made = []

    def make(vlm, rows, length):
        if rows > 1:
            return Feeder(vlm, rows, length)
        made.append(Checked(vlm, rows, length))
        return made[-1]

    monkeypatch.setattr(watcher, "Feeder", make)
    return made


@pytest.fixture(scope="session")
def clips(cache):
    """A few clips of the built-in world, as pictures."""
    counts = {"train": 0, "val": 0, "test": 4, "captions_count": 0, "dense_count": 0}
    return assembly101_dst_demo(**counts, captions=0, dense=0).splits["test"]
