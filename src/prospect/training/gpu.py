"""The device that a run computes on, said before it starts; its memory given back between phases."""

from __future__ import annotations

import gc
import logging

import torch

from prospect.models.vlm import VLM

log = logging.getLogger(__name__)

GIB = 2**30


def report(vlm: VLM) -> None:
    log.info("%s", told(vlm))


def told(vlm: VLM) -> str:
    kinds = sorted({str(p.dtype).removeprefix("torch.") for p in vlm.model.parameters()})
    weights = f"weights in {' and '.join(kinds)}"
    if vlm.device.type != "cuda":
        return f"computing on {vlm.device} with {torch.get_num_threads()} threads, {weights}"
    about = torch.cuda.get_device_properties(vlm.device)
    free, total = torch.cuda.mem_get_info(vlm.device)
    return (
        f"computing on {vlm.device}: {about.name}, capability {about.major}.{about.minor}, "
        f"{free / GIB:.1f} of {total / GIB:.1f} GiB free, {weights}"
    )


def free() -> None:
    """What the phase before has let go of goes back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
