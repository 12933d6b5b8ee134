"""C13: eight queued frames in one call, taken back behind the first event, against one by one."""

from __future__ import annotations

from dataclasses import replace

import torch

from bench.measure import Measured, side_by_side
from bench.watching import stream, watcher
from prospect.streaming.stream import Happened, Stream, WatchSettings
from prospect.streaming.watcher import watch

FRAMES, AHEAD = 400, 8
TEXT = "Next is the red disc. Take the blue bar."  # eight words and two stops


def measure() -> list[Measured]:
    torch.set_num_threads(1)
    vlm = watcher(8192)
    measured = []
    for every, target in ((50, 1.9), (12, 1.25), (0, 4.0)):
        events = {number: Happened(text=TEXT) for number in range(every - 1, FRAMES, every)} if every else {}
        played: Stream = stream(vlm, FRAMES, forced=events)
        alone, together = WatchSettings(), WatchSettings(ahead=AHEAD)
        ones, others = (list(watch(vlm, played, settings)) for settings in (alone, together))
        exact = [replace(one, p_speak=0, p_dst=0) for one in ones] == [replace(o, p_speak=0, p_dst=0) for o in others]
        apart = max(abs(one.p_speak - other.p_speak) for one, other in zip(ones, others, strict=True))
        assert exact and apart < 1e-4, "frames ahead change nothing"  # noqa: PT018
        slow, fast = side_by_side(
            lambda played=played: list(watch(vlm, played, alone)),  # type: ignore[misc]
            lambda played=played: list(watch(vlm, played, together)),  # type: ignore[misc]
            3,
        )
        share = f"{100 / every:.0f} % speaking" if every else "decisions only"
        detail = f"{1e3 * fast / FRAMES:.2f} ms a frame, one by one {1e3 * slow / FRAMES:.2f}"
        measured.append(Measured(f"C13 8 frames ahead, {share}", slow / fast, target, True, detail))
    return measured
