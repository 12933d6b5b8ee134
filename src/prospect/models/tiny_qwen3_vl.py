"""A Qwen3-VL of about three quarters of a million parameters: the real classes, random weights, nothing to download.

What `tiny.py` is to SmolVLM: small enough to learn a picture task or a stream within minutes. A picture of 32 px is one
token.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen3VLConfig

from prospect.errors import UserError
from prospect.models.loading import agreed, built, loaded, placed
from prospect.models.patches import PatchLayout, PatchSettings
from prospect.models.qwen3_vl_words import END, IMAGE, VIDEO, VISION_END, VISION_START, small_tokenizer
from prospect.models.sealed import model_folder
from prospect.models.stream_settings import StreamSettings
from prospect.models.tiny import CONTEXT, INIT_STD, check_kept
from prospect.models.vlm import VLM
from prospect.models.words import token_id

# What a fresh model has where nothing else is asked for.
FRESH = {
    "width": 96,
    "layers": 3,
    "vision_width": 64,
    "vision_layers": 1,
    "patch": 16,
    "merge": 2,
    "background": 128,
}
HEAD = 24  # width of an attention head of the language model: 12 angles, 4 for each coordinate
VISION_HEAD = 16
PLACES = 16  # learnt positions of patches, a 4 × 4 grid that is stretched over every picture
SPARE = 8  # rows of the vocabulary behind the last token, as the published models have


def tiny_qwen3_vl(
    path: str | None = None,
    seed: int = 0,
    width: int | None = None,
    layers: int | None = None,
    vision_width: int | None = None,
    vision_layers: int | None = None,
    patch: int | None = None,
    merge: int | None = None,
    background: int | None = None,
    image: PatchSettings | None = None,
    stream: StreamSettings | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    device: str = "auto",
    attention: Literal["sdpa", "eager"] = "sdpa",
) -> VLM:
    """A fresh tiny model from `seed`, or the one in `path`: a run folder, a checkpoint, or any Qwen3-VL folder."""
    sizes = {
        "width": width,
        "layers": layers,
        "vision_width": vision_width,
        "vision_layers": vision_layers,
        "patch": patch,
        "merge": merge,
        "background": background,
    }
    asked = {name: value for name, value in sizes.items() if value is not None}
    if path is None:
        vlm = _fresh({**FRESH, **asked}, seed, dtype, device, attention, image)
        return replace(vlm, stream=stream)
    vlm = loaded(model_folder(path), path, dtype, device, attention, image, stream=stream)
    check_kept(asked, _found(vlm), path)
    return vlm


def _fresh(
    sizes: dict[str, int],
    seed: int,
    dtype: Literal["float32", "bfloat16", "float16"],
    device: str,
    attention: Literal["sdpa", "eager"],
    image: PatchSettings | None,
) -> VLM:
    for name, unit in (("width", HEAD), ("vision_width", VISION_HEAD)):
        if sizes[name] % unit:
            raise UserError(f"model.{name}={sizes[name]} must be a multiple of {unit}")
    tokenizer = small_tokenizer()
    config = architecture(sizes, tokenizer)
    model: Any = built(config, dtype, "meta" if device == "meta" else "cpu", attention, seed)
    if device != "meta":
        _widen_tower(model, seed)
    unit = sizes["patch"] * sizes["merge"]
    neutral = (sizes["background"] / 255,) * 3
    images = PatchLayout(
        config.image_token_id,
        sizes["patch"],
        sizes["merge"],
        smallest=unit**2,
        largest=unit**2,
        tile=unit,
        mean=neutral,
    )
    vlm = VLM(model.to(placed(device)), tokenizer, images.adjusted(image))
    agreed(vlm)
    return vlm


def architecture(sizes: dict[str, int], tokenizer: PreTrainedTokenizerFast) -> Qwen3VLConfig:
    width, vision_width = sizes["width"], sizes["vision_width"]
    return Qwen3VLConfig(
        image_token_id=token_id(tokenizer, IMAGE),
        video_token_id=token_id(tokenizer, VIDEO),
        vision_start_token_id=token_id(tokenizer, VISION_START),
        vision_end_token_id=token_id(tokenizer, VISION_END),
        tie_word_embeddings=True,
        text_config={
            "model_type": "qwen3_vl_text",
            "hidden_size": width,
            "intermediate_size": width * 7 // 3,
            "num_hidden_layers": sizes["layers"],
            "num_attention_heads": width // HEAD,
            "num_key_value_heads": width // HEAD,
            "head_dim": HEAD,
            "vocab_size": len(tokenizer) + SPARE,
            "max_position_embeddings": CONTEXT,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [HEAD // 6] * 3,
                "mrope_interleaved": True,
            },
            "rms_norm_eps": 1e-6,
            "initializer_range": INIT_STD,
            "eos_token_id": token_id(tokenizer, END),
            "tie_word_embeddings": True,
        },
        vision_config={
            "hidden_size": vision_width,
            "intermediate_size": 4 * vision_width,
            "depth": sizes["vision_layers"],
            "num_heads": vision_width // VISION_HEAD,
            "in_channels": 3,
            "patch_size": sizes["patch"],
            "spatial_merge_size": sizes["merge"],
            "temporal_patch_size": 2,
            "num_position_embeddings": PLACES,
            "out_hidden_size": width,
            "deepstack_visual_indexes": [0],
            "initializer_range": INIT_STD,
        },
    )


def _widen_tower(model: PreTrainedModel, seed: int) -> None:
    """The tower and its mergers start with std = fan-in^-1/2, so that a picture reaches the words at full strength."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 and ".visual." in name:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5, generator=generator)


def _found(vlm: VLM) -> dict[str, int]:
    text, vision = vlm.model.config.text_config, vlm.model.config.vision_config
    return {
        "width": text.hidden_size,
        "layers": text.num_hidden_layers,
        "vision_width": vision.hidden_size,
        "vision_layers": vision.depth,
        "patch": vision.patch_size,
        "merge": vision.spatial_merge_size,
        "background": round(255 * vlm.images.mean[0]),
    }
