"""What a frozen tower makes of frames, made once instead of in every epoch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from prospect.models.adapt import merged
from prospect.models.decisions import StreamModel
from prospect.models.vlm import VLM


@torch.no_grad()
def encode_frames(vlm: VLM, pictures: Sequence[Image.Image], batch: int = 32) -> Tensor:
    """(N, I, F) on the CPU, in the model's type: the tokens of each frame as they enter the language model."""
    model = vlm.bare
    assert isinstance(model, StreamModel), "for_streams comes first: it knows how a frame is pooled"
    was_training = vlm.model.training
    vlm.model.eval()  # an adapter on the tower has dropout
    made = [torch.empty((0, vlm.frame_tokens, model.config.feature_width), dtype=vlm.bare.dtype)]
    for start in range(0, len(pictures), batch):
        some = pictures[start : start + batch]
        made.append(model.frame_features(vlm.frame_layout.pixels(some, len(some)).to(vlm.device)).cpu())
    vlm.model.train(was_training)
    return torch.cat(made)


def tower_facts(vlm: VLM) -> dict[str, Any]:
    """What features and a model that reads them must agree in (tower, frame_grid), and what else is good to know."""
    return {
        "tower": tower_digest(vlm),
        "frame_grid": vlm.bare.config.frame_grid or "native",
        "frame_size": vlm.frame_layout.images.tile,
        "arithmetic": str(vlm.bare.dtype).removeprefix("torch."),
    }


def tower_digest(vlm: VLM) -> str:
    """sha256 of all that decides the features of a frame: tower and connector, pooling, and how pixels are made.

    Weights count by their values: of one checkpoint in bfloat16 and in float32 the features differ by rounding alone.
    """
    if any(_adapted(name) for name in _weights(vlm)):
        vlm = merged(vlm)
    images = vlm.frame_layout.images
    pixels = {name: getattr(images, name) for name in ("tile", "letterbox", "mean", "std", "resample")}
    found = hashlib.sha256(json.dumps({"frame_grid": vlm.bare.config.frame_grid, "pixels": pixels}).encode())
    for name, weight in sorted(_weights(vlm).items()):
        found.update(f"{name} {tuple(weight.shape)}\n".encode())
        found.update(weight.detach().float().cpu().contiguous().numpy().data)
    return found.hexdigest()


def _weights(vlm: VLM) -> dict[str, Tensor]:
    assert isinstance(vlm.bare, StreamModel), "for_streams comes first: it knows how a frame is pooled"
    modules = {path: vlm.bare.get_submodule(path) for path in vlm.bare.tower}
    return {f"{path}.{name}": value for path, module in modules.items() for name, value in module.state_dict().items()}


def _adapted(name: str) -> bool:
    return not {"lora_A", "modules_to_save"}.isdisjoint(name.split("."))
