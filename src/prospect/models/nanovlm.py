"""nanoVLM: a checkpoint in its own layout or in transformers', or a fresh one from a SigLIP tower and a SmolLM2."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transformers import PreTrainedTokenizerFast

from prospect.errors import UserError
from prospect.models.family import FAMILIES
from prospect.models.hub import at_hand, fetched
from prospect.models.loading import agreed, built, has_words, loaded, placed, recomputing, tokenizer_of
from prospect.models.nanovlm_backbones import Backbones
from prospect.models.nanovlm_layout import OWN, PUBLISHED, config_of, is_own, own_record, record_of
from prospect.models.nanovlm_words import EXTRA, extended, stand_in_tokenizer
from prospect.models.stream_settings import StreamSettings
from prospect.models.tiles import TileSettings, own_tiles
from prospect.models.tiny import check_kept
from prospect.models.vlm import VLM

log = logging.getLogger(__name__)

FAMILY = FAMILIES[OWN]
PICTURE = 4  # tiles along the longest edge of a picture, where nothing else is said
SIZES = {  # by their names in nanoVLM's configuration
    "width": "lm_hidden_dim",
    "inner": "lm_inter_dim",
    "layers": "lm_n_blocks",
    "heads": "lm_n_heads",
    "kv_heads": "lm_n_kv_heads",
    "vision_width": "vit_hidden_dim",
    "vision_inner": "vit_inter_dim",
    "vision_layers": "vit_n_blocks",
    "vision_heads": "vit_n_heads",
    "tile": "vit_img_size",
    "patch": "vit_patch_size",
    "scale_factor": "mp_pixel_shuffle_factor",
}


@dataclass(frozen=True)
class Sizes:
    """What a fresh model may be like; None is what its backbones are, or nanoVLM-230M-8k where there are none."""

    width: int | None = None
    inner: int | None = None
    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    vision_width: int | None = None
    vision_inner: int | None = None
    vision_layers: int | None = None
    vision_heads: int | None = None
    tile: int | None = None
    patch: int | None = None
    scale_factor: int | None = None

    @property
    def asked(self) -> dict[str, int]:
        return {name: value for name, value in vars(self).items() if value is not None}


def nanovlm(
    path: str,
    weights: Literal["pretrained", "random"] = "pretrained",
    init: Literal["backbones", "random"] | None = None,
    vision: str = PUBLISHED["vit_model_type"],
    language: str = PUBLISHED["lm_model_type"],
    tokenizer: str | None = None,
    sizes: Sizes | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    device: str = "auto",
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa",
    gradient_checkpointing: bool = False,
    image: TileSettings | None = None,
    stream: StreamSettings | None = None,
    seed: int = 0,
) -> VLM:
    """From a hub name or a folder, or afresh with `init`; weights=random is init=random. On meta nothing is fetched."""
    asked = (sizes or Sizes()).asked
    if weights == "random" and init == "backbones":
        raise UserError("model.init=backbones takes the weights of two models: leave out model.weights=random")
    if init == "backbones":
        backbones = Backbones(vision, language, placed(device).type != "meta")
        base = _base_words(tokenizer) or tokenizer_of(backbones.language, FAMILY.template)
        own = backbones.record({SIZES[name]: value for name, value in asked.items() if name == "scale_factor"})
        vlm = _fresh(own, base, dtype, device, attention, image, seed)
        backbones.move_into(vlm.model)
        path = "the pair of model.vision and model.language"
    elif init == "random" or weights == "random" or placed(device).type == "meta":
        own = PUBLISHED | {SIZES[name]: value for name, value in asked.items()}
        vlm = _fresh(own, _base_words(tokenizer) or _words_at_hand(language), dtype, device, attention, image, seed)
    else:
        folder = fetched(path)
        vlm = loaded(folder, path, dtype, device, attention, image, _words(tokenizer, folder))
        if vlm.family is not FAMILY:
            raise UserError(f"{path} holds a {vlm.bare.config.model_type} that is no nanoVLM; use its own model option")
    vlm.stream = stream or vlm.stream
    own = record_of(vlm.bare.config)
    check_kept({f"sizes.{k}": v for k, v in asked.items()}, {f"sizes.{k}": own[v] for k, v in SIZES.items()}, path)
    if gradient_checkpointing:
        recomputing(vlm)
    return vlm


def _fresh(
    own: dict[str, Any],
    base: PreTrainedTokenizerFast,
    dtype: Literal["float32", "bfloat16", "float16"],
    device: str,
    attention: Literal["sdpa", "eager", "flash_attention_2"],
    image: TileSettings | None,
    seed: int,
) -> VLM:
    """Random weights with std 0.02; embeddings as many as the tokenizer has entries, the head tied to them."""
    words = extended(base, "model.tokenizer")
    own = finished(own, len(words))
    model = built(config_of(own, "model"), dtype, device, attention, seed)
    vlm = VLM(model, words, own_tiles(own).adjusted(image))
    agreed(vlm)
    return vlm


def finished(own: dict[str, Any], vocabulary: int) -> dict[str, Any]:
    """nanoVLM's configuration with all that follows from its other values."""
    for width, unit in (
        ("lm_hidden_dim", "lm_n_heads"),
        ("lm_n_heads", "lm_n_kv_heads"),
        ("vit_hidden_dim", "vit_n_heads"),
        ("vit_img_size", "vit_patch_size"),
    ):
        if own[width] % own[unit]:
            keys = {value: name for name, value in SIZES.items()}
            raise UserError(
                f"model.sizes.{keys[width]}={own[width]} must be a multiple of model.sizes.{keys[unit]}={own[unit]}"
            )
    side = own["vit_img_size"] // own["vit_patch_size"] // own["mp_pixel_shuffle_factor"]
    return own | {
        "mp_image_token_length": side**2,
        "max_img_size": PICTURE * own["vit_img_size"],
        "lm_base_vocab_size": vocabulary - len(EXTRA),
        "lm_vocab_size": vocabulary,
    }


def _base_words(name: str | None) -> PreTrainedTokenizerFast | None:
    return tokenizer_of(fetched(name, "model.tokenizer", weights=False), FAMILY.template) if name else None


def _words(name: str | None, folder: Path) -> PreTrainedTokenizerFast | None:
    """None leaves the folder's own. nanoVLM's own folders have none: they name a language model's."""
    if not name and is_own(folder) and not has_words(folder):
        name = own_record(folder).get("lm_tokenizer", PUBLISHED["lm_tokenizer"])
    words = _base_words(name)
    return extended(words, str(name)) if words else None


def _words_at_hand(language: str) -> PreTrainedTokenizerFast:
    folder = at_hand(language, "model.language")
    if folder and has_words(folder):
        return tokenizer_of(folder, FAMILY.template)
    log.warning(
        "the tokenizer of %s is not at hand: a stand-in has the same size and the same special tokens, but other word "
        "pieces, so token counts of text differ; give the true one with model.tokenizer=FOLDER",
        language,
    )
    return stand_in_tokenizer()
