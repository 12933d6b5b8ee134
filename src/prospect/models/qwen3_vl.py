"""Qwen3-VL in three of its sizes: published weights, or the true architecture with random ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from transformers import Qwen3VLConfig

from prospect.models.patches import PatchLayout, PatchSettings
from prospect.models.published import Published, Where, opened
from prospect.models.qwen3_vl_words import stand_in_tokenizer
from prospect.models.stream_settings import StreamSettings
from prospect.models.vlm import VLM

VOCABULARY = 151936  # of the LM head; the tokenizer has 151669, the rest is spare


@dataclass(frozen=True)
class Size:
    """Dimensions of one published model."""

    width: int
    inner: int
    layers: int
    heads: int
    tied: bool
    vision_width: int
    vision_inner: int
    vision_layers: int
    deepstack: tuple[int, int, int]


SIZES = {
    "2B": Size(2048, 6144, 28, 16, True, 1024, 4096, 24, (5, 11, 17)),
    "4B": Size(2560, 9728, 36, 32, True, 1024, 4096, 24, (5, 11, 17)),
    "8B": Size(4096, 12288, 36, 32, False, 1152, 4304, 27, (8, 16, 24)),
}


def qwen3_vl(
    size: Literal["2B", "4B", "8B"],
    path: str,
    weights: Literal["pretrained", "random"] = "pretrained",
    tokenizer: str | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16",
    device: str = "auto",
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa",
    gradient_checkpointing: bool = False,
    image: PatchSettings | None = None,
    stream: StreamSettings | None = None,
    seed: int = 0,
) -> VLM:
    """Qwen3-VL from a hub name or a folder. With weights=random, or on the meta device, nothing is downloaded."""
    where = Where(path, weights, tokenizer, dtype, device, attention, seed)
    return opened(SERIES, size, where, image, stream, gradient_checkpointing)


def architecture(size: str) -> Qwen3VLConfig:
    """The published configuration of one size, every value set."""
    dims = SIZES[size]
    return Qwen3VLConfig(
        image_token_id=151655,
        video_token_id=151656,
        vision_start_token_id=151652,
        vision_end_token_id=151653,
        tie_word_embeddings=dims.tied,
        text_config={
            "model_type": "qwen3_vl_text",
            "hidden_size": dims.width,
            "intermediate_size": dims.inner,
            "num_hidden_layers": dims.layers,
            "num_attention_heads": dims.heads,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "vocab_size": VOCABULARY,
            "max_position_embeddings": 262144,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 5_000_000,
                "mrope_section": [24, 20, 20],
                "mrope_interleaved": True,
            },
            "rms_norm_eps": 1e-6,
            "hidden_act": "silu",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "initializer_range": 0.02,
            "bos_token_id": 151643,
            "eos_token_id": 151645,
            "tie_word_embeddings": dims.tied,
        },
        vision_config={
            "hidden_size": dims.vision_width,
            "intermediate_size": dims.vision_inner,
            "depth": dims.vision_layers,
            "num_heads": 16,
            "in_channels": 3,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "num_position_embeddings": 2304,
            "out_hidden_size": dims.width,
            "deepstack_visual_indexes": list(dims.deepstack),
            "hidden_act": "gelu_pytorch_tanh",
            "initializer_range": 0.02,
        },
    )


def _images(size: str, config: Qwen3VLConfig) -> PatchLayout:
    return PatchLayout(config.image_token_id)


SERIES = Published(
    "Qwen3-VL",
    dims=lambda: {name: (dims.width, dims.layers) for name, dims in SIZES.items()},
    architecture=architecture,
    images=_images,
    stand_in=stand_in_tokenizer,
)
