"""nanoVLM from its published description: checkpoints drawn at random in its own layout, and its forward as formulas.

Shapes: B rows, T positions, V vocabulary, N tiles, P patches a tile, D width, H heads, E width of a head.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import conv2d, gelu, layer_norm, silu

from prospect.models.nanovlm import SIZES, Sizes, finished, nanovlm
from prospect.models.nanovlm_layout import PUBLISHED
from prospect.models.nanovlm_words import small_tokenizer
from prospect.models.vlm import VLM

SMALL = Sizes(width=48, inner=80, layers=2, heads=4, kv_heads=2, vision_width=32, vision_inner=56, vision_layers=2,
              vision_heads=2, tile=32, patch=4, scale_factor=2)  # fmt: skip


def words(folder: Path) -> str:
    """A folder of a tokenizer that is built fast, with the tokens of pictures behind few others."""
    small_tokenizer().save_pretrained(folder / "words")
    return str(folder / "words")


def small(folder: Path | None = None, seed: int = 0, device: str = "cpu", sizes: Sizes = SMALL, **options) -> VLM:
    """Without a folder for its tokenizer with one as large as the published one."""
    more = {"sizes": sizes, "tokenizer": words(folder) if folder else None, "device": device, "seed": seed, **options}
    return nanovlm("lusxvr/nanoVLM-230M-8k", weights="random", **more)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.frombytes("RGB", (width, height), Random(seed).randbytes(3 * width * height))


def own_config(vocabulary: int) -> dict:
    return finished(PUBLISHED | {SIZES[name]: value for name, value in SMALL.asked.items()}, vocabulary)


def drawn(own: dict, seed: int = 0) -> dict[str, Tensor]:
    """Weights of a nanoVLM by its own names, large enough to matter everywhere."""
    generator = torch.Generator().manual_seed(seed)

    def some(*shape: int, about: float = 0.0) -> Tensor:
        return about + 0.15 * torch.randn(shape, generator=generator)

    width, inner, wide = own["vit_hidden_dim"], own["vit_inter_dim"], own["lm_hidden_dim"]
    patch, side = own["vit_patch_size"], own["vit_img_size"] // own["vit_patch_size"]
    state = {
        "vision_encoder.patch_embedding.conv.weight": some(width, 3, patch, patch),
        "vision_encoder.patch_embedding.conv.bias": some(width),
        "vision_encoder.patch_embedding.position_embedding": some(1, side**2, width),
        "vision_encoder.layer_norm.weight": some(width, about=1),
        "vision_encoder.layer_norm.bias": some(width),
        "MP.proj.weight": some(wide, width * own["mp_pixel_shuffle_factor"] ** 2),
        "decoder.norm.weight": some(wide, about=1),
        "decoder.head.weight": some(own["lm_vocab_size"], wide),
    }
    for i in range(own["vit_n_blocks"]):
        block = f"vision_encoder.blocks.{i}."
        for norm in ("ln1", "ln2"):
            state |= {f"{block}{norm}.weight": some(width, about=1), f"{block}{norm}.bias": some(width)}
        shapes = {"attn.qkv_proj": (3 * width, width), "attn.out_proj": (width, width)}
        shapes |= {"mlp.fc1": (inner, width), "mlp.fc2": (width, inner)}
        for name, shape in shapes.items():
            state |= {f"{block}{name}.weight": some(*shape), f"{block}{name}.bias": some(shape[0])}
    each = wide // own["lm_n_heads"]
    kept = each * own["lm_n_kv_heads"]
    for i in range(own["lm_n_blocks"]):
        block = f"decoder.blocks.{i}."
        shapes = {"q": (wide, wide), "k": (kept, wide), "v": (kept, wide), "out": (wide, wide)}
        state |= {f"{block}attn.{name}_proj.weight": some(*shape) for name, shape in shapes.items()}
        shapes = {"gate": (own["lm_inter_dim"], wide), "up": (own["lm_inter_dim"], wide)}
        shapes |= {"down": (wide, own["lm_inter_dim"])}
        state |= {f"{block}mlp.{name}_proj.weight": some(*shape) for name, shape in shapes.items()}
        state |= {f"{block}{norm}.weight": some(wide, about=1) for norm in ("norm1", "norm2")}
    state["decoder.rotary_embd.inv_freq"] = 1.0 / (own["lm_re_base"] ** (torch.arange(0, each, 2).float() / each))
    return state


def checkpoint(folder: Path, seed: int = 0, **changed) -> tuple[dict, dict[str, Tensor]]:
    """A folder in nanoVLM's layout: its configuration and its weights, which are given back as well."""
    own = own_config(len(small_tokenizer())) | changed
    state = drawn(own, seed)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(own, indent=4))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return own, state


def logits(own: dict, state: dict[str, Tensor], ids_BT: Tensor, tiles_NCHW: Tensor | None = None) -> Tensor:
    """(B, T, V): nanoVLM's forward."""
    x_BTD = state["decoder.head.weight"][ids_BT]
    if tiles_NCHW is not None:
        image = own["lm_base_vocab_size"]
        x_BTD[ids_BT == image] = projected(own, state, seen(own, state, tiles_NCHW)).flatten(0, 1)
    cos, sin = turned(state["decoder.rotary_embd.inv_freq"], ids_BT.shape[1])
    for i in range(own["lm_n_blocks"]):
        part = {k.removeprefix(f"decoder.blocks.{i}."): v for k, v in state.items()}
        y = rms(x_BTD, part["norm1.weight"], own["lm_rms_eps"])
        q, k, v = (heads(y @ part[f"attn.{n}_proj.weight"].T, x_BTD.shape[2] // own["lm_n_heads"]) for n in "qkv")
        q, k = q * cos + half_turned(q) * sin, k * cos + half_turned(k) * sin
        k, v = (t.repeat_interleave(own["lm_n_heads"] // own["lm_n_kv_heads"], dim=1) for t in (k, v))
        x_BTD = x_BTD + attended(q, k, v, causal=True) @ part["attn.out_proj.weight"].T
        y = rms(x_BTD, part["norm2.weight"], own["lm_rms_eps"])
        gate = silu(y @ part["mlp.gate_proj.weight"].T)
        x_BTD = x_BTD + (gate * (y @ part["mlp.up_proj.weight"].T)) @ part["mlp.down_proj.weight"].T
    return rms(x_BTD, state["decoder.norm.weight"], own["lm_rms_eps"]) @ state["decoder.head.weight"].T


def seen(own: dict, state: dict[str, Tensor], tiles_NCHW: Tensor) -> Tensor:
    """(N, P, D): SigLIP's tower."""
    state = {k.removeprefix("vision_encoder."): v for k, v in state.items()}
    conv = {kind: state[f"patch_embedding.conv.{kind}"] for kind in ("weight", "bias")}
    x = conv2d(tiles_NCHW, **conv, stride=own["vit_patch_size"]).flatten(2).transpose(1, 2)
    x = x + state["patch_embedding.position_embedding"]

    def normal(x: Tensor, name: str) -> Tensor:
        return layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], own["vit_ln_eps"])

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    for i in range(own["vit_n_blocks"]):
        block = f"blocks.{i}"
        three = linear(normal(x, f"{block}.ln1"), f"{block}.attn.qkv_proj").split(x.shape[2], dim=2)
        q, k, v = (heads(part, x.shape[2] // own["vit_n_heads"]) for part in three)
        x = x + linear(attended(q, k, v, causal=False), f"{block}.attn.out_proj")
        inner = gelu(linear(normal(x, f"{block}.ln2"), f"{block}.mlp.fc1"), approximate="tanh")
        x = x + linear(inner, f"{block}.mlp.fc2")
    return normal(x, "layer_norm")


def projected(own: dict, state: dict[str, Tensor], x_NPD: Tensor) -> Tensor:
    """Pixel shuffle: the patches of a small square, by rows, become one token's channels; then one matrix."""
    side, f = int(x_NPD.shape[1] ** 0.5), own["mp_pixel_shuffle_factor"]
    rows = []
    for row in range(0, side, f):
        for col in range(0, side, f):
            square = [x_NPD[:, (row + down) * side + col + across] for down in range(f) for across in range(f)]
            rows.append(torch.cat(square, dim=1))
    return torch.stack(rows, dim=1) @ state["MP.proj.weight"].T


def heads(x_BTD: Tensor, each: int) -> Tensor:
    """(B, H, T, E)."""
    return x_BTD.unflatten(2, (-1, each)).transpose(1, 2)


def attended(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    scores = q @ k.transpose(2, 3) / q.shape[3] ** 0.5
    if causal:
        later = torch.ones(scores.shape[2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
    return (scores.softmax(3) @ v).transpose(1, 2).flatten(2)


def rms(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x * torch.rsqrt((x**2).mean(-1, keepdim=True) + eps) * weight


def turned(frequencies: Tensor, length: int) -> tuple[Tensor, Tensor]:
    angles = torch.arange(length).float()[:, None] * frequencies[None]
    return torch.cat([angles, angles], 1).cos(), torch.cat([angles, angles], 1).sin()


def half_turned(x: Tensor) -> Tensor:
    one, two = x.chunk(2, dim=-1)
    return torch.cat([-two, one], dim=-1)
