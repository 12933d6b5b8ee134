"""SmolVLM2 in its three sizes: published weights, or the true architecture with random ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from transformers import SmolVLMConfig

from prospect.models.images import ImageLayout, ImageSettings, tokens_a_tile
from prospect.models.published import Published, Where, opened
from prospect.models.stream_settings import StreamSettings
from prospect.models.vlm import VLM
from prospect.models.words import SMOLVLM2_VOCABULARY, stand_in_tokenizer


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
    where = Where(path, weights, tokenizer, dtype, device, attention, seed)
    return opened(SMOLVLM2, size, where, image, stream, gradient_checkpointing)


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


def _images(size: str, config: SmolVLMConfig) -> ImageLayout:
    return ImageLayout(SIZES[size].tile, tokens_a_tile(config), SIZES[size].longest_edge)


SMOLVLM2 = Published(
    "SmolVLM2",
    dims=lambda: {name: (dims.width, dims.layers) for name, dims in SIZES.items()},
    architecture=architecture,
    images=_images,
    stand_in=stand_in_tokenizer,
)
