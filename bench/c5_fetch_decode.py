"""C5: a clip of 300 frames of 384 px fetched from a store of 2,000 and decoded, against decoding alone.

The peer holds the JPEGs in memory and drops each picture before the next, so that one buffer serves for all.
"""

from __future__ import annotations

import io
import tempfile
from itertools import cycle, islice
from pathlib import Path

from PIL import Image

from bench.footage import CLIP, jpegs
from bench.measure import Measured, side_by_side
from prospect.data.frames import FrameStore, write_frames

FRAMES, START = 2000, 900


def measure() -> list[Measured]:
    some = jpegs(50)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.arrow"
        write_frames(path, islice(cycle(some), FRAMES), {"fps": 2}, sync=False)
        held = FrameStore(path).jpegs(START, START + CLIP)

        def ours() -> None:
            for picture in FrameStore(path).decoded(START, START + CLIP):
                assert picture.mode == "RGB"

        def alone() -> None:
            for jpeg in held:
                Image.open(io.BytesIO(jpeg)).load()

        fetched, decoded = side_by_side(ours, alone, rounds=7)
    size = sum(map(len, some)) / len(some) / 1e3
    detail = f"{fetched / CLIP * 1e3:.2f} ms a frame of {size:.0f} kB against {decoded / CLIP * 1e3:.2f}"
    return [Measured("C5 fetch and decode a clip", fetched / decoded, 1.35, False, detail)]
