"""A fresh nanoVLM from two trained models: the tower of any SigLIP, the language model of any SmolLM2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, SiglipVisionModel

from prospect.errors import UserError
from prospect.models.hub import fetched
from prospect.models.nanovlm_layout import PUBLISHED
from prospect.models.vlm import no_bars


class Backbones:
    """Folders of both; `weights=False` is for shapes alone."""

    def __init__(self, vision: str, language: str, weights: bool = True) -> None:
        self.names = (vision, language)
        self.vision = fetched(vision, "model.vision", weights)
        self.language = fetched(language, "model.language", weights)
        self.weights = weights
        self.tower = _tower(self.vision)
        self.text = _text(self.language)

    def record(self, chosen: dict[str, Any]) -> dict[str, Any]:
        """nanoVLM's configuration of what they make together; `chosen` is what neither of them says."""
        return PUBLISHED | {
            "vit_hidden_dim": self.tower.hidden_size,
            "vit_inter_dim": self.tower.intermediate_size,
            "vit_patch_size": self.tower.patch_size,
            "vit_img_size": self.tower.image_size,
            "vit_n_heads": self.tower.num_attention_heads,
            "vit_n_blocks": self.tower.num_hidden_layers,
            "vit_ln_eps": self.tower.layer_norm_eps,
            "vit_model_type": self.names[0],
            "lm_hidden_dim": self.text.hidden_size,
            "lm_inter_dim": self.text.intermediate_size,
            "lm_rms_eps": self.text.rms_norm_eps,
            "lm_re_base": self.text.rope_parameters["rope_theta"],
            "lm_max_position_embeddings": self.text.max_position_embeddings,
            "lm_max_length": self.text.max_position_embeddings,
            "lm_n_heads": self.text.num_attention_heads,
            "lm_n_kv_heads": self.text.num_key_value_heads,
            "lm_n_blocks": self.text.num_hidden_layers,
            "lm_tie_weights": self.text.tie_word_embeddings,
            "lm_model_type": self.names[1],
            "lm_tokenizer": self.names[1],
            **chosen,
        }

    @torch.no_grad()
    def move_into(self, model: Any) -> None:
        """Copies their weights. The connector and the rows of the new tokens stay as they were drawn."""
        grown = model.config.text_config.vocab_size - model.config.nanovlm["extra_token_amount"]
        if self.text.vocab_size != grown:
            raise UserError(
                f"model.language: {self.language} has {self.text.vocab_size} embeddings, and its tokenizer {grown} "
                "entries: the new tokens would not stand behind them"
            )
        if not self.weights:
            return
        tower = {name.removeprefix("vision_model."): value for name, value in self._tower().state_dict().items()}
        kept = {name: value for name, value in tower.items() if not name.startswith("head.")}
        model.model.vision_model.load_state_dict(kept)
        text = self._text()
        state = text.model.state_dict()
        model.model.text_model.embed_tokens.weight[:grown] = state.pop("embed_tokens.weight")
        left = model.model.text_model.load_state_dict(state, strict=False)
        assert left.missing_keys == ["embed_tokens.weight"], "all else is there"
        assert not left.unexpected_keys, "and nothing besides"
        if not self.text.tie_word_embeddings:
            model.lm_head.weight[:grown] = text.lm_head.weight

    def _tower(self) -> PreTrainedModel:
        return _read(SiglipVisionModel, self.vision, config=self.tower)

    def _text(self) -> Any:
        return _read(AutoModelForCausalLM, self.language)


def _read(kind: Any, folder: Path, **options: Any) -> Any:
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder} holds no weights (*.safetensors)")
    with no_bars():
        model, found = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True, **options)
    if missing := sorted(found["missing_keys"]):
        raise UserError(f"{folder} lacks {len(missing)} weights of the model, the first of them {missing[0]}")
    return model


def _tower(folder: Path) -> Any:
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    tower = config.vision_config if config.model_type == "siglip" else config
    if tower.model_type != "siglip_vision_model":
        raise UserError(f"model.vision: {folder} is of type {config.model_type}; a SigLIP of one size of pictures fits")
    _check({"hidden_act": (tower.hidden_act, "gelu_pytorch_tanh")}, "model.vision", folder)
    tower.vision_use_head = False  # nanoVLM reads the patches, not what they are pooled to
    return tower


def _text(folder: Path) -> Any:
    config: Any = AutoConfig.from_pretrained(folder, local_files_only=True)
    if config.model_type != "llama":
        raise UserError(f"model.language: {folder} is of type {config.model_type}; a SmolLM2 (llama) fits")
    values = {
        "hidden_act": (config.hidden_act, "silu"),
        "attention_bias": (config.attention_bias, False),
        "mlp_bias": (config.mlp_bias, False),
        "head_dim": (config.head_dim, config.hidden_size // config.num_attention_heads),
        "rope_type": (config.rope_parameters["rope_type"], "default"),
    }
    _check(values, "model.language", folder)
    return config


def _check(values: dict[str, tuple[Any, Any]], key: str, folder: Path) -> None:
    for name, (found, right) in values.items():
        if found != right:
            raise UserError(f"{key}: {folder} has {name}={found}, and nanoVLM is built with {right}")
