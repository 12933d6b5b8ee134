"""Qwen3-VL for streams: what its family adds to `decisions.py`. Importing this makes it known to the Auto classes.

A frame has features for the language model's input and, as a picture has, some for each of its first layers
(DeepStack); they are pooled alike and travel as one, D wide each. Its tokens lie as in pictures, one for each grid that
it is pooled to.

Shapes: as in `decisions.py`; S image tokens of a call, K layers of DeepStack.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForImageTextToText, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from prospect.models.decisions import StreamModel
from prospect.models.mrope import lain, walked
from prospect.models.patches import FRAME, patches


class DSTQwen3VLConfig(Qwen3VLConfig):
    """Read from a base checkpoint's config.json, the fields of streams have these defaults."""

    model_type = "dst_qwen3_vl"
    STREAM: ClassVar[tuple[str, ...]] = ("heads", "head", "frame_grid", "decision_tokens", "frame_size")

    heads: str = "binary"
    head: str = "linear"
    frame_grid: list[int] | None = None
    decision_tokens: list[int] | None = None
    frame_size: int = FRAME

    @property
    def connector_side(self) -> int:
        vision: Any = self.vision_config
        return self.frame_size // vision.patch_size // vision.spatial_merge_size

    @property
    def feature_width(self) -> int:
        text: Any = self.text_config
        vision: Any = self.vision_config
        return text.hidden_size * (1 + len(vision.deepstack_visual_indexes))


class DSTQwen3VLForConditionalGeneration(StreamModel, Qwen3VLForConditionalGeneration):
    config_class = DSTQwen3VLConfig
    tower = ("model.visual",)
    accepts_loss_kwargs = True  # the losses divide by what they are told; the base class denies it for its own

    def feature_grid(self, frame_pixels_NCHW: Tensor) -> Tensor:
        vision = self.config.vision_config
        edges = [edge // vision.patch_size for edge in frame_pixels_NCHW.shape[2:]]
        flat = patches(frame_pixels_NCHW, vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size)
        grids = torch.tensor([[1, *edges]], device=flat.device).repeat(len(frame_pixels_NCHW), 1)
        seen = self.model.visual(flat, grid_thw=grids, return_dict=True)
        side = self.config.connector_side
        return torch.cat([seen.pooler_output, *seen.deepstack_features], dim=1).unflatten(0, (-1, side, side))

    def decoded(self, ids_BT: Tensor | None, features_NIF: Tensor | None, **inputs: Any) -> Any:
        if features_NIF is None:
            return super().decoded(ids_BT, None, **inputs)
        assert ids_BT is not None
        slots_BT = ids_BT == self.config.image_token_id
        _, *deep_NID = features_NIF.split(self.config.text_config.hidden_size, dim=2)
        inputs["position_ids"] = self._positions(ids_BT, inputs, len(features_NIF))
        inputs["inputs_embeds"] = self.with_frames(ids_BT, features_NIF)
        deep_SD = [each.flatten(0, 1) for each in deep_NID]
        return self.model.language_model(visual_pos_masks=slots_BT, deepstack_visual_embeds=deep_SD, **inputs)

    def _positions(self, ids_BT: Tensor, inputs: dict[str, Any], frames: int) -> Tensor:
        """Those that are given in three coordinates, by who knows what is in the cache; else those of whole rows."""
        given, mask = inputs["position_ids"], inputs["attention_mask"]
        if given is not None and given.ndim == 3:
            return given
        return self.walked(ids_BT, torch.ones_like(ids_BT) if mask is None else mask, frames)[0]

    def walked(self, ids_BT: Tensor, attention_BT: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        edges = self.config.frame_grid or [self.config.connector_side]
        offsets_3I, steps_I = lain([(edge, edge) for edge in edges])
        slots_BT = ids_BT == self.config.image_token_id
        return walked(slots_BT, attention_BT, offsets_3I.repeat(1, frames), steps_I.repeat(frames))


AutoConfig.register("dst_qwen3_vl", DSTQwen3VLConfig)
AutoModelForImageTextToText.register(DSTQwen3VLConfig, DSTQwen3VLForConditionalGeneration)
