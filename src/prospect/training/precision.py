"""Weights that are trained are kept in float32, whatever type the model computes in."""

from __future__ import annotations

import logging
from typing import Any

import torch

from prospect.models.vlm import VLM

log = logging.getLogger(__name__)

MIXED = {torch.bfloat16: "bf16", torch.float16: "fp16"}  # how TrainingArguments call computing in them


def single(vlm: VLM) -> dict[str, Any]:
    """Turns trained weights of half precision into float32, and says which mixed precision then computes as before.

    A weight of 0.02 in bfloat16 cannot take a step of 1e-5: it would be rounded away, and the model would not learn.
    Frozen weights stay as they are.
    """
    halves = [p for p in vlm.model.parameters() if p.requires_grad and p.dtype in MIXED]
    if not halves:
        return {}
    kind = MIXED[halves[0].dtype]
    for parameter in halves:
        parameter.data = parameter.data.float()
    log.info("%s trained weights are kept in float32 and computed with in %s", f"{sum(map(_size, halves)):,}", kind)
    return {kind: True}


def _size(parameter: torch.Tensor) -> int:
    return parameter.numel()
