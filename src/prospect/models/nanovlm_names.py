"""A nanoVLM's weights by transformers' names, and back.

It is the same model under other names: query, key and value of the tower are one matrix there, positions have a
leading dimension, and of tied embeddings the file keeps the head.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from prospect.errors import UserError

MODULES = {
    "vision_encoder.patch_embedding.conv": "model.vision_model.embeddings.patch_embedding",
    "vision_encoder.layer_norm": "model.vision_model.post_layernorm",
    "MP.proj": "model.connector.modality_projection.proj",
    "decoder.token_embedding": "model.text_model.embed_tokens",
    "decoder.norm": "model.text_model.norm",
    "decoder.head": "lm_head",
}
TOWER = {"ln1": "layer_norm1", "ln2": "layer_norm2", "attn.out_proj": "self_attn.out_proj"}
TOWER |= {f"mlp.{name}": f"mlp.{name}" for name in ("fc1", "fc2")}
TEXT = {"norm1": "input_layernorm", "norm2": "post_attention_layernorm", "attn.out_proj": "self_attn.o_proj"}
TEXT |= {f"attn.{name}_proj": f"self_attn.{name}_proj" for name in "qkv"}
TEXT |= {f"mlp.{name}_proj": f"mlp.{name}_proj" for name in ("gate", "up", "down")}
BLOCKS, LAYERS = "vision_encoder.blocks", "model.vision_model.encoder.layers"
TEXT_BLOCKS, TEXT_LAYERS = "decoder.blocks", "model.text_model.layers"
POSITIONS = "vision_encoder.patch_embedding.position_embedding"
OUR_POSITIONS = "model.vision_model.embeddings.position_embedding.weight"
FREQUENCIES = "decoder.rotary_embd.inv_freq"  # follow from the configuration
EMBEDDING, HEAD = "decoder.token_embedding.weight", "decoder.head.weight"
OUR_EMBEDDING, OUR_HEAD = "model.text_model.embed_tokens.weight", "lm_head.weight"


def names(config: Any) -> dict[str, str]:
    """Modules by nanoVLM's names and transformers', but for those that are cut differently."""
    tower, text = config.vision_config.num_hidden_layers, config.text_config.num_hidden_layers
    blocks = {f"{BLOCKS}.{i}.{own}": f"{LAYERS}.{i}.{ours}" for i in range(tower) for own, ours in TOWER.items()}
    text_blocks = {
        f"{TEXT_BLOCKS}.{i}.{own}": f"{TEXT_LAYERS}.{i}.{ours}" for i in range(text) for own, ours in TEXT.items()
    }
    return MODULES | blocks | text_blocks


def imported(own: dict[str, Tensor], config: Any, source: str) -> dict[str, Tensor]:
    """Weights by transformers' names. Of tied embeddings either may be there."""
    modules, state = names(config), {}
    for name, value in own.items():
        module, _, kind = name.rpartition(".")
        if module in modules:
            state[f"{modules[module]}.{kind}"] = value
        elif name == POSITIONS:
            state[OUR_POSITIONS] = value[0]
        elif found := re.fullmatch(re.escape(BLOCKS) + r"\.(\d+)\.attn\.qkv_proj", module):
            for part, chunk in zip("qkv", value.chunk(3), strict=True):
                state[f"{LAYERS}.{found[1]}.self_attn.{part}_proj.{kind}"] = chunk
        elif name != FREQUENCIES:
            raise UserError(f"{source}: nanoVLM has no weight {name}")
    if config.tie_word_embeddings and (state.keys() & {OUR_EMBEDDING, OUR_HEAD}):
        shared = state.get(OUR_HEAD, state.get(OUR_EMBEDDING))
        assert shared is not None
        state |= {OUR_HEAD: shared, OUR_EMBEDDING: shared}
    return state


def exported(state: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
    """Weights by nanoVLM's names, of tied embeddings the head alone: what its own `save_pretrained` writes."""
    own = {
        f"{name}.{kind}": state[f"{ours}.{kind}"]
        for name, ours in names(config).items()
        for kind in ("weight", "bias")
        if f"{ours}.{kind}" in state
    }
    own[POSITIONS] = state[OUR_POSITIONS][None]
    for block in range(config.vision_config.num_hidden_layers):
        for kind in ("weight", "bias"):
            parts = [state[f"{LAYERS}.{block}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            own[f"{BLOCKS}.{block}.attn.qkv_proj.{kind}"] = torch.cat(parts)
    text = config.text_config
    theta, width = text.rope_parameters["rope_theta"], text.hidden_size // text.num_attention_heads
    own[FREQUENCIES] = 1.0 / (theta ** (torch.arange(0, width, 2).float() / width))
    if config.tie_word_embeddings:
        del own[EMBEDDING]
    return {name: value.contiguous() for name, value in own.items()}
