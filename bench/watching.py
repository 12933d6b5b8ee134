"""Models with random weights that watch made-up features: what the claims about streaming are measured on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from prospect.conversation.sample import Turn
from prospect.models.stream import for_streams
from prospect.models.stream_settings import StreamSettings
from prospect.models.tiny import tiny
from prospect.models.vlm import VLM
from prospect.streaming.context import NoDrop
from prospect.streaming.feeding import Feeder
from prospect.streaming.session import Session
from prospect.streaming.stream import Stream, WatchSettings
from prospect.streaming.watcher import Run

SILENT = WatchSettings(speak_threshold=1, dst_threshold=1)
SYSTEM = (Turn("system", ("You watch.",)),)


def watcher(positions: int, **sizes: int) -> VLM:
    """A tiny model with as many positions as are asked for."""
    vlm = for_streams(tiny(seed=0, device="cpu", stream=StreamSettings(), **sizes))  # type: ignore[arg-type]
    vlm.model.config.text_config.max_position_embeddings = positions
    return vlm


class Film:
    """So many frames of features, the same every time."""

    def __init__(self, vlm: VLM, frames: int):
        self.frames = frames
        self.made = np.random.default_rng(0).normal(size=(256, 1, vlm.model.config.text_config.hidden_size))
        self.made = self.made.astype(np.float32)

    def __iter__(self) -> Iterator[tuple[np.ndarray, tuple[()]]]:
        return ((self.made[number % 256], ()) for number in range(self.frames))


def stream(vlm: VLM, frames: int, **more: Any) -> Stream:
    return Stream(SYSTEM, None, Film(vlm, frames), **more)


def midway(vlm: VLM, played: Stream, feeder: Feeder, length: int, row: int = 0) -> Run:
    """A stream that never has anything to say, its context filled with so many tokens of nothing from the start."""
    session = Session(played, vlm.pieces, SILENT, NoDrop(), feeder.cache.room)
    session.held.units[0].ids = [5] * length
    session.held.total = session.held.fed = length
    feeder.cache.lengths[row] = length
    return session.run()
