"""Tiny models that watch streams, a batch for them, and what tests look at."""

from __future__ import annotations

import re

import torch

from prospect.models.stream import for_streams
from prospect.models.stream_settings import StreamSettings
from prospect.models.tiny import tiny
from prospect.models.vlm import VLM

BINARY, MLP, TOKEN = StreamSettings(), StreamSettings(head="mlp"), StreamSettings(heads="token")
KINDS = [BINARY, MLP, TOKEN]


def watching(settings: StreamSettings = BINARY, seed: int = 0, **options) -> VLM:
    return for_streams(tiny(device="cpu", stream=settings, **options), seed)


def batch(vlm: VLM) -> dict[str, torch.Tensor]:
    """Two rows of three frames each."""
    generator = torch.Generator().manual_seed(4)
    ids = torch.randint(10, 300, (2, 12), generator=generator)
    ids[:, [2, 5, 6]] = vlm.image_token_id
    return {
        "input_ids": ids,
        "frame_pixels": torch.randn(6, 3, 32, 32, generator=generator),
        "learnt_points": torch.tensor([[0, 8], [0, 9], [1, 3]]),
        "decision_points": torch.tensor([[0, 2], [0, 6], [1, 5]]),
    }


def moved(vlm: VLM) -> VLM:
    """As if trained: every trainable weight is somewhere else, far enough to be seen in the logits."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in vlm.model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    vlm.model.eval()
    return vlm


def heads(vlm: VLM) -> dict[str, torch.Tensor]:
    named = {name: value for name, value in vlm.model.named_parameters() if ".original_module." not in name}
    return {
        re.sub(r".*decisions\.(modules_to_save\.default\.)?", "", n): p for n, p in named.items() if "decisions" in n
    }
