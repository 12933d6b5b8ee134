"""SmolVLM2 in its three sizes: published weights, or the true architecture with random ones."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast, SmolVLMConfig

from prospect.errors import UserError
from prospect.models.hub import at_hand, fetched
from prospect.models.images import SETTINGS_FILE, ImageLayout, ImageSettings, layout_of
from prospect.models.loading import agreed, built, loaded, placed, tokenizer_of, tokens_a_tile
from prospect.models.stream import StreamSettings
from prospect.models.vlm import VLM
from prospect.models.words import SMOLVLM2_VOCABULARY, stand_in_tokenizer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Size:
    """Dimensions of one published model. transformers' own defaults are those of none of them."""

    width: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    rope_theta: float
    vision_width: int
    vision_inner: int
    vision_layers: int
    vision_heads: int
    tile: int
    patch: int
    scale_factor: int
    longest_edge: int


# fmt: off
SIZES = {
    "256m": Size(576, 1536, 30, 9, 3, 100_000.0, 768, 3072, 12, 12, 512, 16, scale_factor=4, longest_edge=2048),
    "500m": Size(960, 2560, 32, 15, 5, 100_000.0, 768, 3072, 12, 12, 512, 16, scale_factor=4, longest_edge=2048),
    "2.2b": Size(2048, 8192, 24, 32, 32, 130_000.0, 1152, 4304, 27, 16, 384, 14, scale_factor=3, longest_edge=1536),
}
# fmt: on


def smolvlm2(
    size: Literal["2.2b", "500m", "256m"],
    path: str,
    weights: Literal["pretrained", "random"] = "pretrained",
    tokenizer: str | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16",
    device: str = "auto",
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa",
    gradient_checkpointing: bool = False,
    image: ImageSettings | None = None,
    stream: StreamSettings | None = None,
    seed: int = 0,
) -> VLM:
    """SmolVLM2 from a hub name or a folder. With weights=random, or on the meta device, nothing is downloaded."""
    words = tokenizer_of(fetched(tokenizer, "model.tokenizer", weights=False)) if tokenizer else None
    if weights == "random" or placed(device).type == "meta":
        folder = _settings_folder(path, size)
        model = built(architecture(size), dtype, device, attention, seed)
        vlm = replace(_furnished(model, size, folder, words, image), stream=stream)
    else:
        vlm = loaded(fetched(path), path, dtype, device, attention, image, words, stream)
        _check_size(vlm.model.config, size, path)
    if gradient_checkpointing:
        # The reentrant kind would lose the gradients of an adapter, whose inputs need none.
        vlm.bare.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return vlm


def architecture(size: str) -> SmolVLMConfig:
    """The published configuration of one size, every value set."""
    dims = SIZES[size]
    return SmolVLMConfig(
        image_token_id=49190,
        scale_factor=dims.scale_factor,
        tie_word_embeddings=False,
        text_config={
            "model_type": "llama",
            "hidden_size": dims.width,
            "intermediate_size": dims.inner,
            "num_hidden_layers": dims.layers,
            "num_attention_heads": dims.heads,
            "num_key_value_heads": dims.kv_heads,
            "head_dim": 64,
            "vocab_size": SMOLVLM2_VOCABULARY,
            "max_position_embeddings": 8192,
            "rope_parameters": {"rope_type": "default", "rope_theta": dims.rope_theta},
            "rms_norm_eps": 1e-5,
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "initializer_range": 0.02,
            "pad_token_id": 2,
            "bos_token_id": 1,
            "eos_token_id": 49279,
            "tie_word_embeddings": False,
        },
        vision_config={
            "hidden_size": dims.vision_width,
            "intermediate_size": dims.vision_inner,
            "num_hidden_layers": dims.vision_layers,
            "num_attention_heads": dims.vision_heads,
            "num_channels": 3,
            "image_size": dims.tile,
            "patch_size": dims.patch,
            "hidden_act": "gelu_pytorch_tanh",
            "layer_norm_eps": 1e-6,
            "initializer_range": 0.02,
        },
    )


def _settings_folder(path: str, size: str) -> Path | None:
    """What is on this machine of the model, without asking the network; weights are not needed."""
    folder = at_hand(path)
    if folder and (folder / "config.json").is_file():
        _check_size(AutoConfig.from_pretrained(folder, local_files_only=True), size, str(folder))
    return folder


def _furnished(
    model: PreTrainedModel,
    size: str,
    folder: Path | None,
    words: PreTrainedTokenizerFast | None,
    image: ImageSettings | None,
) -> VLM:
    """A random model with the published tokenizer and image settings, as far as they are at hand."""
    if words is None and folder and (folder / "tokenizer.json").is_file():
        words = tokenizer_of(folder)
    if words is None:
        log.warning(
            "SmolVLM2's tokenizer is not at hand: a stand-in has the same size and the same special tokens, but other "
            "word pieces, so token counts of text differ; give the true one with model.tokenizer=FOLDER"
        )
        words = stand_in_tokenizer()
    vlm = VLM(model, words, _images(model, size, folder).adjusted(image))
    agreed(vlm)
    return vlm


def _images(model: PreTrainedModel, size: str, folder: Path | None) -> ImageLayout:
    tokens = tokens_a_tile(model.config)
    if folder and (folder / SETTINGS_FILE).is_file():
        return layout_of(folder, tokens)
    return ImageLayout(SIZES[size].tile, tokens, SIZES[size].longest_edge)


def _check_size(config: PreTrainedConfig, size: str, path: str) -> None:
    """A folder of another size would train and score, under a wrong name."""
    found = config.text_config.hidden_size, config.text_config.num_hidden_layers
    if found != (SIZES[size].width, SIZES[size].layers):
        names = [name for name, dims in SIZES.items() if (dims.width, dims.layers) == found]
        raise UserError(f"{path} holds {names[0] if names else 'another model'}, not size {size}; mend model.size")
