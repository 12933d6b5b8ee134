"""Models with random weights that watch made-up features: what the claims about streaming are measured on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from prospect.conversation.sample import Turn
from prospect.models.stream import StreamSettings, for_streams
from prospect.models.tiny import tiny
from prospect.models.vlm import VLM
from prospect.streaming.stream import Stream

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
