"""C12: a frame of a stream at 256 to 16k tokens of context, against a minimal loop and against DynamicCache.

The minimal loop is the language model's arithmetic and nothing else, over keys and values in memory taken once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from bench.measure import Measured, side_by_side
from bench.watching import SILENT, midway, stream, watcher
from prospect.models.vlm import VLM
from prospect.streaming.context import SlidingWindow
from prospect.streaming.feeding import Feeder
from prospect.streaming.stream import Moment
from prospect.streaming.watcher import watch

SHORT, LONG = 256, 16384
FRAMES = 20  # in a timed round


def measure() -> list[Measured]:
    torch.set_num_threads(1)
    full = [full_context(length) for length in (SHORT, 4096, LONG)]
    ours, dynamic = full[-1]
    told = ", ".join(f"{length}: {pair[0]:.2f}" for length, pair in zip((SHORT, 4096, LONG), full, strict=True))
    exponent, detail = window()
    return [
        Measured("C12 full context, a frame at 16k", ours, 1.1, False, f"{told}; DynamicCache {dynamic:.2f}"),
        Measured("C12 sliding window, exponent", exponent, 0.2, False, detail, ""),
    ]


def full_context(length: int) -> tuple[float, float]:
    """A frame with so many tokens of context: the engine's time and DynamicCache's, in minimal loops."""
    vlm = watcher(LONG + 512, width=576, layers=4)  # as wide as SmolVLM2-256M
    minimal = Minimal(vlm, length + FRAMES)
    ours = side_by_side(engine(vlm, length), lambda: minimal.frames(length), 7)
    dynamic = side_by_side(grown(vlm, length), lambda: minimal.frames(length), 5)
    return ours[0] / ours[1], dynamic[0] / dynamic[1]


def engine(vlm: VLM, length: int) -> Callable[[], None]:
    """Session and Feeder as `watch` has them, but for a context that is full from the start."""
    feeder = Feeder(vlm, 1, LONG + 512)

    def frames() -> None:
        run = midway(vlm, stream(vlm, FRAMES), feeder, length)
        item = next(run, None)
        while item is not None:
            answer = None if isinstance(item, Moment) else feeder({0: item})[0]
            try:
                item = run.send(answer)
            except StopIteration:
                return

    return frames


def grown(vlm: VLM, length: int) -> Callable[[], None]:
    """The same model with transformers' own cache."""
    text = vlm.model.config.text_config
    shape = (1, text.num_key_value_heads, length, text.head_dim)
    noise = [(torch.randn(shape), torch.randn(shape)) for _ in range(text.num_hidden_layers)]
    points, image = torch.tensor([[0, 0]]), torch.tensor([[vlm.image_token_id]])

    @torch.inference_mode()
    def frames() -> None:
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(noise):
            cache.update(keys, values, layer)
        for frame, _ in stream(vlm, FRAMES).source:
            out = vlm.model(
                input_ids=image,
                frame_features=torch.as_tensor(frame)[None],
                past_key_values=cache,
                use_cache=True,
                decision_points=points,
                learnt_points=torch.empty((0, 2), dtype=torch.long),
            )
            out.decisions.sigmoid().tolist()

    return frames


class Minimal:
    def __init__(self, vlm: VLM, room: int):
        self.text: Any = vlm.bare.get_decoder()
        self.heads: Any = vlm.model.decisions
        config = self.text.config
        self.shape = (1, 1, config.num_attention_heads, config.head_dim)
        shape = (1, config.num_key_value_heads, room, config.head_dim)
        self.memory = [(torch.randn(shape), torch.randn(shape)) for _ in self.text.layers]
        self.source = list(stream(vlm, FRAMES).source)

    @torch.inference_mode()
    def frames(self, length: int) -> None:
        for at, (frame, _) in enumerate(self.source, length):
            self.heads(self._states(torch.as_tensor(frame)[None], at)[0]).sigmoid().tolist()

    def _states(self, x_11D: Tensor, at: int) -> Tensor:
        cos, sin = self.text.rotary_emb(x_11D, torch.tensor([[at]]))
        for layer, (keys, values) in zip(self.text.layers, self.memory, strict=True):
            own, y_11D = layer.self_attn, layer.input_layernorm(x_11D)
            query, key, value = (
                project(y_11D).view(self.shape).transpose(1, 2) for project in (own.q_proj, own.k_proj, own.v_proj)
            )
            query, key = apply_rotary_pos_emb(query, key, cos, sin)
            keys[:, :, at : at + 1], values[:, :, at : at + 1] = key, value
            seen = F.scaled_dot_product_attention(query, keys[:, :, : at + 1], values[:, :, : at + 1])
            x_11D = x_11D + own.o_proj(seen.transpose(1, 2).flatten(2))
            x_11D = x_11D + layer.mlp(layer.post_attention_layernorm(x_11D))
        return self.text.norm(x_11D)


def window() -> tuple[float, str]:
    """How the time of a frame grows with the length of the stream so far, dropping and feeding again included."""
    vlm = watcher(LONG)
    moments = watch(vlm, stream(vlm, LONG), SILENT, SlidingWindow(512))
    began, spent = time.perf_counter(), []
    for _ in moments:
        spent.append(time.perf_counter() - began)
    times = np.diff([0.0, *spent])
    starts = 2 ** np.arange(8, 14)
    means = np.array([times[start : 2 * start].mean() for start in starts])
    exponent = float(np.polyfit(np.log(starts), np.log(means), 1)[0])
    return exponent, f"{1e3 * means[0]:.2f} ms a frame after 256, {1e3 * means[-1]:.2f} after 8192"
