"""C6: the same clip from a store of 10,000 frames: what it costs does not follow the store's length, nor does memory.

Each side runs in a process of its own: opening the store is part of the work, and memory is that of nobody else.
Private memory is what the kernel cannot take back (anonymous pages): those of the mapped file all workers share.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from bench.footage import CLIP, jpegs
from bench.measure import Measured
from prospect.data.frames import write_frames

SHORT, LONG, ROUNDS = 500, 10_000, 5

WORKER = """
import re, sys, time
import pyarrow as pa
from pathlib import Path
from prospect.data.frames import FrameStore

def private():
    return int(re.search(r"Anonymous: +(\\d+)", Path("/proc/self/smaps_rollup").read_text())[1]) * 1024

way, path, other, start, clip = *sys.argv[1:4], *map(int, sys.argv[4:])
for picture in FrameStore(Path(other)).decoded(0, 50):  # the decoder's own memory, and every import
    pass
before, began, peak = private(), time.perf_counter(), 0
if way == "whole":
    with pa.OSFile(path) as file:
        table = pa.ipc.open_file(file).read_all()
    seconds, peak = time.perf_counter() - began, private()
else:
    for number, picture in enumerate(FrameStore(Path(path)).decoded(start, start + clip)):
        pass
    seconds = time.perf_counter() - began
    for number, picture in enumerate(FrameStore(Path(path)).decoded(start, start + clip)):
        if number % 30 == 0:
            peak = max(peak, private())
print(seconds, peak - before)
"""


def measure() -> list[Measured]:
    small = jpegs(50, quality=30)  # few bytes a frame, so that the whole of a long store is moderate
    with tempfile.TemporaryDirectory() as folder:
        short, long, warm = (Path(folder) / f"{name}.arrow" for name in ("short", "long", "warm"))
        for path, count in ((short, SHORT), (long, LONG), (warm, 50)):
            write_frames(path, islice(cycle(small), count), {"fps": 2}, sync=False)

        def run(way: str, path: Path, start: int) -> tuple[float, float]:
            words = [sys.executable, "-c", WORKER, way, str(path), str(warm), str(start), str(CLIP)]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
            seconds, memory = map(float, done.stdout.split())
            return seconds, memory / 2**20

        pairs = [(run("clip", short, 100), run("clip", long, 8000)) for _ in range(ROUNDS)]
        _, whole = run("whole", long, 0)
    ratio = median(long_[0] for _, long_ in pairs) / median(short_[0] for short_, _ in pairs)
    memory = max(long_[1] for _, long_ in pairs)
    detail = f"{median(p[1][0] for p in pairs):.2f} s for {CLIP} of {LONG:,} frames, against of {SHORT}"
    held = f"against {whole:.0f} MB for the whole file"
    return [
        Measured("C6 a clip of a long store", ratio, 1.1, False, detail),
        Measured("C6 private memory", memory, 2.0, False, held, unit=" MB"),
    ]
