"""G7, G8, G9: SmolVLM2-2.2B with random weights in bf16 watches pictures on one GPU, from the picture to the decision.

G7 is one stream with 4k tokens of context, G8 one with 16k against one with 1k, G9 64 streams in one batch, each of
which has a frame every half second. The tower is in the loop. Without a GPU nothing is measured, and it is said.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench.measure import Measured
from bench.watching import SYSTEM, midway
from prospect.models.smolvlm import smolvlm2
from prospect.models.stream import for_streams
from prospect.models.stream_settings import StreamSettings
from prospect.models.vlm import VLM
from prospect.streaming.feeding import Ask, Feeder
from prospect.streaming.stream import Moment, Stream

WARMUP = 10  # frames that are not timed


@dataclass(frozen=True)
class Sizes:
    """Tokens of context, streams in a batch, and frames that are timed.

    `long` is beyond the positions that the model is made for: what it says there is not looked at, the work is.
    """

    context: int = 4096
    short: int = 1024
    long: int = 16384
    streams: int = 64
    held: int = 2048  # by each of those
    frames: int = 300


def measure() -> list[Measured]:
    if not torch.cuda.is_available():
        return []
    path = "HuggingFaceTB/SmolVLM2-2.2B-Instruct"
    vlm = smolvlm2("2.2b", path, weights="random", device="cuda", stream=StreamSettings())
    return claims(for_streams(vlm), Sizes())


def claims(vlm: VLM, sizes: Sizes) -> list[Measured]:
    alone = milliseconds(vlm, 1, sizes.context, sizes.frames)
    short, long = (np.median(milliseconds(vlm, 1, length, sizes.frames)) for length in (sizes.short, sizes.long))
    many = milliseconds(vlm, sizes.streams, sizes.held, sizes.frames)
    p50, p99 = np.quantile(alone, [0.5, 0.99])
    detail = f"one stream, {sizes.context} tokens of context, tower in the loop"
    batch = f"median {np.median(many):.0f} ms, {sizes.held} tokens of context each"
    return [
        Measured("G7 a frame, p50", float(p50), 6.2, False, detail, " ms"),
        Measured("G7 a frame, p99", float(p99), 12.0, False, detail, " ms"),
        Measured(
            f"G8 {sizes.long} against {sizes.short} of context",
            float(long / short),
            1.5,
            False,
            f"{long:.2f} and {short:.2f} ms a frame",
        ),
        Measured(
            f"G9 a frame of each of {sizes.streams} streams, p99",
            float(np.quantile(many, 0.99)),
            500.0,
            False,
            batch,
            " ms",
        ),
    ]


def milliseconds(vlm: VLM, streams: int, length: int, frames: int) -> np.ndarray:
    """Of each round in which every stream has a new frame: pixels, tower, model, answer."""
    vlm.model.eval()
    feeder = Feeder(vlm, streams, length + (frames + WARMUP + 1) * vlm.frame_tokens)
    runs = {row: midway(vlm, Stream(SYSTEM, None, Pictures(vlm)), feeder, length, row) for row in range(streams)}
    asks: dict[int, Ask] = {row: _ask(run.send(None)) for row, run in runs.items()}
    seconds = []
    for _ in range(frames + WARMUP):
        began = time.perf_counter()
        answers = feeder(asks)  # probabilities are plain numbers, so the device is done with them
        moments = [run.send(answers[row]) for row, run in runs.items()]
        seconds.append(time.perf_counter() - began)
        assert all(isinstance(moment, Moment) for moment in moments), "a silent frame is decided in one call"
        asks = {row: _ask(run.send(None)) for row, run in runs.items()}
    assert feeder.cache.lengths == [length + (frames + WARMUP) * vlm.frame_tokens] * streams
    return 1000 * np.array(seconds[WARMUP:])


def _ask(item: Any) -> Ask:
    assert isinstance(item, Ask)
    return item


class Pictures:
    """Noise, for ever, as large as the model sees it: what decoding and shrinking cost has claims of its own."""

    def __init__(self, vlm: VLM):
        edge, random = vlm.images.tile, np.random.default_rng(0)
        self.made = [Image.fromarray(random.integers(0, 256, (edge, edge, 3), np.uint8)) for _ in range(4)]

    def __iter__(self) -> Iterator[tuple[Image.Image, tuple[()]]]:
        return ((picture, ()) for picture in cycle(self.made))
