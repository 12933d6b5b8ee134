"""SmolVLM2 for streams: what its family adds to `decisions.py`. Importing this makes it known to the Auto classes."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor
from transformers import AutoConfig, AutoModelForImageTextToText, SmolVLMConfig, SmolVLMForConditionalGeneration

from prospect.models.decisions import StreamModel


class DSTSmolVLMConfig(SmolVLMConfig):
    """Read from a base checkpoint's config.json, the fields of streams have these defaults."""

    model_type = "dst_smolvlm"
    STREAM: ClassVar[tuple[str, ...]] = ("heads", "head", "frame_grid", "decision_tokens")

    heads: str = "binary"
    head: str = "linear"
    frame_grid: list[int] | None = None
    decision_tokens: list[int] | None = None

    @property
    def connector_side(self) -> int:
        vision: Any = self.vision_config
        return vision.image_size // vision.patch_size // self.scale_factor

    @property
    def feature_width(self) -> int:
        text: Any = self.text_config
        return text.hidden_size


class DSTSmolVLMForConditionalGeneration(StreamModel, SmolVLMForConditionalGeneration):
    config_class = DSTSmolVLMConfig
    tower = ("model.vision_model", "model.connector")

    def feature_grid(self, frame_pixels_NCHW: Tensor) -> Tensor:
        """Unlike the base class this drops no frame, not even one whose pixels are all exactly 0."""
        patches = self.model.vision_model(pixel_values=frame_pixels_NCHW, return_dict=True).last_hidden_state
        side = self.config.connector_side
        return self.model.connector(patches).unflatten(1, (side, side))


AutoConfig.register("dst_smolvlm", DSTSmolVLMConfig)
AutoModelForImageTextToText.register(DSTSmolVLMConfig, DSTSmolVLMForConditionalGeneration)
