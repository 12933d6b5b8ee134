"""C16: a full garbage collection in the middle of a step, before and after what training does at its start."""

from __future__ import annotations

import gc
import time

import transformers  # noqa: F401  its objects are what a collection walks over

from bench.measure import Measured


def measure() -> list[Measured]:
    before = _pass()
    gc.freeze()
    after = _pass()
    gc.unfreeze()
    detail = f"{before:.0f} ms without gc.freeze()"
    return [Measured("C16 garbage collection", after, 5.0, False, detail, unit=" ms")]


def _pass() -> float:
    gc.collect()
    began = time.perf_counter()
    gc.collect()
    return (time.perf_counter() - began) * 1e3
