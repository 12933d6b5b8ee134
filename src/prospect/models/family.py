"""What differs from one family of models to the next, once a model is there. A new family is one more entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prospect.conversation.chat import ChatFormat
from prospect.conversation.nanovlm import NANOVLM
from prospect.conversation.qwen3_vl import QWEN3_VL
from prospect.conversation.smolvlm import SMOLVLM
from prospect.errors import UserError
from prospect.models import nanovlm_words, qwen3_vl_words, words
from prospect.models.dst_qwen3_vl import DSTQwen3VLForConditionalGeneration
from prospect.models.dst_smolvlm import DSTSmolVLMForConditionalGeneration
from prospect.models.images import ImageSettings, layout_of, tokens_a_tile
from prospect.models.layout import Layout
from prospect.models.nanovlm_layout import OWN, record_of
from prospect.models.patches import PatchSettings, patch_layout_of
from prospect.models.tiles import TileSettings, tile_layout_of


@dataclass(frozen=True)
class Family:
    """`template`: of a folder that brings none. `watching`: the class that watches streams.

    `by_shapes`: its towers look at no numbers, so a step over frames can be gone through on the meta device.
    """

    format: ChatFormat
    template: str
    watching: Any
    images: Callable[[Path, Any, Any], Layout]  # of a folder, its configuration, and the user's settings
    by_shapes: bool


def _tiles(folder: Path, config: Any, settings: ImageSettings | None) -> Layout:
    return layout_of(folder, tokens_a_tile(config)).adjusted(settings)


def _patches(folder: Path, config: Any, settings: PatchSettings | None) -> Layout:
    return patch_layout_of(folder, config.image_token_id).adjusted(settings)


def _own_tiles(folder: Path, config: Any, settings: TileSettings | None) -> Layout:
    return tile_layout_of(folder, record_of(config)).adjusted(settings)


FAMILIES = {
    "smolvlm": Family(SMOLVLM, words.CHAT_TEMPLATE, DSTSmolVLMForConditionalGeneration, _tiles, by_shapes=True),
    "qwen3_vl": Family(
        QWEN3_VL, qwen3_vl_words.CHAT_TEMPLATE, DSTQwen3VLForConditionalGeneration, _patches, by_shapes=False
    ),
    # In transformers' eyes a SmolVLM, with nanoVLM's own configuration in it.
    OWN: Family(NANOVLM, nanovlm_words.CHAT_TEMPLATE, DSTSmolVLMForConditionalGeneration, _own_tiles, by_shapes=True),
}


def family_of(config: Any, name: str = "the model") -> Family:
    """The family of a model's configuration, plain or watching streams."""
    kind = OWN if OWN in vars(config) else config.model_type.removeprefix("dst_")
    if kind not in FAMILIES:
        raise UserError(f"{name} is of type {config.model_type}; known are {', '.join(FAMILIES)}")
    return FAMILIES[kind]
