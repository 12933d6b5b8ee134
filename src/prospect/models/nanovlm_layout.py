"""nanoVLM's own checkpoints (a `config.json` of its own and `model.safetensors`) as transformers' SmolVLM, and back.

What the configuration says that transformers has no place for travels in ours as `nanovlm`, which also marks a SmolVLM
as one that talks in nanoVLM's format.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import SmolVLMConfig

from prospect.errors import UserError
from prospect.models.nanovlm_names import EMBEDDING, HEAD, exported, imported
from prospect.models.nanovlm_words import BASE, CONTEXT, EXTRA, OWN_TEMPLATE

OWN = "nanovlm"
# The configuration of nanoVLM-230M-8k.
PUBLISHED: dict[str, Any] = {
    "vit_hidden_dim": 768,
    "vit_inter_dim": 3072,
    "vit_patch_size": 16,
    "vit_img_size": 512,
    "vit_n_heads": 12,
    "vit_dropout": 0.0,
    "vit_n_blocks": 12,
    "vit_ln_eps": 1e-6,
    "vit_cls_flag": False,
    "vit_model_type": "google/siglip2-base-patch16-512",
    "lm_hidden_dim": 576,
    "lm_inter_dim": 1536,
    "lm_rms_eps": 1e-5,
    "lm_re_base": 100000,
    "lm_max_position_embeddings": CONTEXT,
    "lm_base_vocab_size": BASE,
    "extra_token_amount": len(EXTRA),
    "lm_vocab_size": BASE + len(EXTRA),
    "lm_n_heads": 9,
    "lm_n_kv_heads": 3,
    "lm_dropout": 0.0,
    "lm_n_blocks": 30,
    "lm_attn_scaling": 1.0,
    "lm_max_length": CONTEXT,
    "lm_use_tokens": False,
    "lm_tie_weights": True,
    "lm_model_type": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "lm_tokenizer": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "lm_chat_template": OWN_TEMPLATE,
    "mp_pixel_shuffle_factor": 4,
    "mp_image_token_length": 64,
    "max_img_size": 2048,
    "vlm_extra_tokens": EXTRA,
    "vlm_load_backbone_weights": True,
}
NEEDED = (
    *(key for key in PUBLISHED if key.endswith(("_dim", "_size", "_heads", "_blocks", "_eps")) and key[:3] != "max"),
    *("lm_re_base", "lm_max_position_embeddings", "extra_token_amount", "lm_tie_weights"),
    *("mp_pixel_shuffle_factor", "mp_image_token_length", "max_img_size"),
)
# What nanoVLM can be told, and transformers' class cannot do.
ONLY: dict[str, Any] = {
    "vit_cls_flag": False,
    "vit_dropout": 0.0,
    "lm_dropout": 0.0,
    "lm_attn_scaling": 1.0,
    "lm_use_tokens": False,
}


def is_own(folder: Path) -> bool:
    """A folder in nanoVLM's layout, which transformers cannot read."""
    path = folder / "config.json"
    return path.is_file() and "vit_hidden_dim" in json.loads(path.read_text())


def read(folder: Path) -> tuple[SmolVLMConfig, dict[str, Tensor]]:
    """Configuration and weights of a folder in nanoVLM's layout, as transformers has them."""
    config = config_of(own_record(folder), str(folder))
    return config, imported(load_file(folder / "model.safetensors"), config, str(folder))


def own_record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def write(state: dict[str, Tensor], config: Any, size: int, folder: Path) -> None:
    """`size`: the longest edge of a picture, all that a user may have changed of the configuration."""
    own = record_of(config) | {"max_img_size": size}
    (folder / "config.json").write_text(json.dumps(own, indent=4) + "\n")
    metadata = {"format": "pt", EMBEDDING: HEAD} if config.tie_word_embeddings else {"format": "pt"}
    save_file(exported(state, config), folder / "model.safetensors", metadata=metadata)


def config_of(own: dict[str, Any], source: str) -> SmolVLMConfig:
    """transformers' configuration of nanoVLM's own. Where it could not give the same numbers it is refused."""
    _check(own, source)
    tied = own["lm_tie_weights"]
    mark: Any = {OWN: own}
    return SmolVLMConfig(
        image_token_id=own["lm_vocab_size"] - own["extra_token_amount"],
        scale_factor=own["mp_pixel_shuffle_factor"],
        tie_word_embeddings=tied,
        text_config={
            "model_type": "llama",
            "hidden_size": own["lm_hidden_dim"],
            "intermediate_size": own["lm_inter_dim"],
            "num_hidden_layers": own["lm_n_blocks"],
            "num_attention_heads": own["lm_n_heads"],
            "num_key_value_heads": own["lm_n_kv_heads"],
            "head_dim": own["lm_hidden_dim"] // own["lm_n_heads"],
            "vocab_size": own["lm_vocab_size"],
            "max_position_embeddings": own["lm_max_position_embeddings"],
            "rope_parameters": {"rope_type": "default", "rope_theta": float(own["lm_re_base"])},
            "rms_norm_eps": own["lm_rms_eps"],
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "initializer_range": 0.02,
            "pad_token_id": None,  # with one, its row would get no gradient, and it is the end token's
            "tie_word_embeddings": tied,
        },
        vision_config={
            "hidden_size": own["vit_hidden_dim"],
            "intermediate_size": own["vit_inter_dim"],
            "num_hidden_layers": own["vit_n_blocks"],
            "num_attention_heads": own["vit_n_heads"],
            "num_channels": 3,
            "image_size": own["vit_img_size"],
            "patch_size": own["vit_patch_size"],
            "hidden_act": "gelu_pytorch_tanh",
            "layer_norm_eps": own["vit_ln_eps"],
            "initializer_range": 0.02,
        },
        **mark,
    )


def record_of(config: Any) -> dict[str, Any]:
    """nanoVLM's own configuration, as it came; training changes none of it."""
    return dict(getattr(config, OWN))


def _check(own: dict[str, Any], source: str) -> None:
    if lacking := [key for key in NEEDED if key not in own]:
        raise UserError(f"{source}: nanoVLM's configuration lacks {', '.join(lacking)}; it is of another version")
    if own.get("vlm_extra_tokens", EXTRA) != EXTRA or own["extra_token_amount"] != len(EXTRA):
        raise UserError(f"{source}: vlm_extra_tokens are not the {len(EXTRA)} of nanoVLM-230M-8k, the only ones known")
    for key, value in ONLY.items():
        if own.get(key, value) != value:
            raise UserError(f"{source}: {key}={own[key]} cannot be had with transformers' classes, only {value}")
    side, factor = own["vit_img_size"] // own["vit_patch_size"], own["mp_pixel_shuffle_factor"]
    if side % factor or (side // factor) ** 2 != own["mp_image_token_length"]:
        raise UserError(
            f"{source}: tiles of {side} × {side} patches, {factor} × {factor} of them a token, are not "
            f"{own['mp_image_token_length']} tokens"
        )
    if not positions_kept(side):
        raise UserError(f"{source}: transformers' tower mixes up positions in a grid of {side} × {side} patches")


def positions_kept(side: int) -> bool:
    """Whether each patch of a square grid gets its own position: SmolVLM's tower finds it by rounding a fraction."""
    boundaries = torch.arange(1 / side, 1.0, 1 / side)
    fractions = (torch.arange(side, dtype=torch.float32) * (1.0 / torch.tensor(side))).clamp(max=1 - 1e-6)
    return torch.equal(torch.bucketize(fractions, boundaries, right=True), torch.arange(side))
