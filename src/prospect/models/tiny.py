"""A SmolVLM of about half a million parameters: the real classes, random weights, nothing to download.

Small enough to learn a picture task or a stream within two minutes on two cores. A picture of 32 px is one token.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast, SmolVLMConfig

from prospect.errors import UserError
from prospect.models.images import IMAGE, ImageLayout, ImageSettings, tokens_a_tile
from prospect.models.loading import agreed, built, loaded, placed
from prospect.models.sealed import model_folder
from prospect.models.stream_settings import StreamSettings
from prospect.models.vlm import VLM
from prospect.models.words import BEGIN, END, PAD, small_tokenizer, token_id

# What a fresh model has where nothing else is asked for.
FRESH = {
    "width": 96,
    "layers": 3,
    "vision_width": 64,
    "vision_layers": 1,
    "tile": 32,
    "patch": 8,
    "scale_factor": 4,
    "background": 128,
}
CONTEXT = 8192
HEAD = 24  # width of an attention head of the language model
VISION_HEAD = 16
INIT_STD = 0.05  # with the usual 0.02 a model this narrow hardly starts to learn, a LoRA on it least of all


def tiny(
    path: str | None = None,
    seed: int = 0,
    width: int | None = None,
    layers: int | None = None,
    vision_width: int | None = None,
    vision_layers: int | None = None,
    tile: int | None = None,
    patch: int | None = None,
    scale_factor: int | None = None,
    background: int | None = None,
    image: ImageSettings | None = None,
    stream: StreamSettings | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    device: str = "auto",
    attention: Literal["sdpa", "eager"] = "sdpa",
) -> VLM:
    """A fresh tiny model from `seed`, or the one in `path`: a run folder, a checkpoint, or any SmolVLM folder."""
    sizes = {
        "width": width,
        "layers": layers,
        "vision_width": vision_width,
        "vision_layers": vision_layers,
        "tile": tile,
        "patch": patch,
        "scale_factor": scale_factor,
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
    image: ImageSettings | None,
) -> VLM:
    _check_divisible(sizes)
    tokenizer = small_tokenizer()
    config = architecture(sizes, tokenizer)
    model: Any = built(config, dtype, "meta" if device == "meta" else "cpu", attention, seed)
    if device != "meta":
        _widen_tower(model, seed)
    neutral = (sizes["background"] / 255,) * 3
    images = ImageLayout(sizes["tile"], tokens_a_tile(config), size=sizes["tile"], split=False, mean=neutral)
    vlm = VLM(model.to(placed(device)), tokenizer, images.adjusted(image))
    agreed(vlm)
    return vlm


def architecture(sizes: dict[str, int], tokenizer: PreTrainedTokenizerFast) -> SmolVLMConfig:
    width, vision_width = sizes["width"], sizes["vision_width"]
    return SmolVLMConfig(
        image_token_id=token_id(tokenizer, IMAGE),
        scale_factor=sizes["scale_factor"],
        tie_word_embeddings=True,
        text_config={
            "model_type": "llama",
            "hidden_size": width,
            "intermediate_size": width * 7 // 3,
            "num_hidden_layers": sizes["layers"],
            "num_attention_heads": width // HEAD,
            "num_key_value_heads": width // HEAD,
            "head_dim": HEAD,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": CONTEXT,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
            "rms_norm_eps": 1e-5,
            "initializer_range": INIT_STD,
            "pad_token_id": token_id(tokenizer, PAD),
            "bos_token_id": token_id(tokenizer, BEGIN),
            "eos_token_id": token_id(tokenizer, END),
            "tie_word_embeddings": True,
        },
        vision_config={
            "hidden_size": vision_width,
            "intermediate_size": 4 * vision_width,
            "num_hidden_layers": sizes["vision_layers"],
            "num_attention_heads": vision_width // VISION_HEAD,
            "num_channels": 3,
            "image_size": sizes["tile"],
            "patch_size": sizes["patch"],
            "initializer_range": INIT_STD,
        },
    )


def _widen_tower(model: PreTrainedModel, seed: int) -> None:
    """Tower and connector start with std = fan-in^-1/2, so that a picture reaches the words at full strength."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 and (".vision_model." in name or ".connector." in name):
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5, generator=generator)


def _check_divisible(sizes: dict[str, int]) -> None:
    for name, unit in (("width", HEAD), ("vision_width", VISION_HEAD)):
        if sizes[name] % unit:
            raise UserError(f"model.{name}={sizes[name]} must be a multiple of {unit}")
    tile, unit = sizes["tile"], sizes["patch"] * sizes["scale_factor"]
    if tile % unit:
        raise UserError(f"model.tile={tile} must be a multiple of model.patch × model.scale_factor = {unit}")


def _found(vlm: VLM) -> dict[str, int]:
    text, vision = vlm.model.config.text_config, vlm.model.config.vision_config
    return {
        "width": text.hidden_size,
        "layers": text.num_hidden_layers,
        "vision_width": vision.hidden_size,
        "vision_layers": vision.num_hidden_layers,
        "tile": vision.image_size,
        "patch": vision.patch_size,
        "scale_factor": vlm.model.config.scale_factor,
        "background": round(255 * vlm.images.mean[0]),
    }


def check_kept(asked: dict[str, int], found: dict[str, int], path: str) -> None:
    """The sizes of a folder stand: asking for others is a mistake, not something to pass over."""
    wrong = [f"model.{name}={value} (it is {found[name]})" for name, value in asked.items() if found[name] != value]
    if wrong:
        raise UserError(f"{path} holds a model of other sizes than asked for: {', '.join(wrong)}; leave them out")
