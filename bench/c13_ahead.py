"""C13: eight queued frames in one call, taken back behind the first event, against one by one."""

from __future__ import annotations

from dataclasses import replace

import torch

from bench.measure import Measured, side_by_side
from bench.watching import stream, watcher
from prospect.models.vlm import VLM
from prospect.streaming.stream import Happened, Moment, WatchSettings
from prospect.streaming.watcher import watch

FRAMES, AHEAD = 400, 8
TEXT = "Next is the red disc. Take the blue bar."  # eight words and two stops


def measure() -> list[Measured]:
    torch.set_num_threads(1)
    vlm = watcher(8192)
    return [_claim(vlm, every, target) for every, target in ((50, 1.9), (12, 1.25), (0, 4.0))]


def _claim(vlm: VLM, every: int, target: float) -> Measured:
    """An utterance every so many frames; never, where that is 0."""
    events = {number: Happened(text=TEXT) for number in range(every - 1, FRAMES, every)} if every else {}
    played = stream(vlm, FRAMES, forced=events)

    def watched(ahead: int) -> list[Moment]:
        return list(watch(vlm, played, WatchSettings(ahead=ahead)))

    for one, other in zip(watched(1), watched(AHEAD), strict=True):
        assert abs(one.p_speak - other.p_speak) + abs(one.p_dst - other.p_dst) < 1e-4, "frames ahead change nothing"
        assert replace(one, p_speak=0, p_dst=0) == replace(other, p_speak=0, p_dst=0)
    slow, fast = side_by_side(lambda: watched(1), lambda: watched(AHEAD), 3)
    share = f"{100 / every:.0f} % speaking" if every else "decisions only"
    detail = f"{1e3 * fast / FRAMES:.2f} ms a frame, one by one {1e3 * slow / FRAMES:.2f}"
    return Measured(f"C13 8 frames ahead, {share}", slow / fast, target, True, detail)
