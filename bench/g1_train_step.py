"""G1, G2: a training step of SmolVLM2-2.2B in bf16 on one GPU, as a share of what its matrix units really reach.

G1 reads features and has no tower; G2 has the frozen tower in the loop, its work counted. The rate is that of one large
matrix product measured in the same run. Without a GPU nothing is measured, and it is said.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.measure import Measured
from bench.streams import stream
from prospect.conversation.segments import encode
from prospect.models.adapt import full
from prospect.models.frames import FrameLayout
from prospect.models.smolvlm import smolvlm2
from prospect.models.stream import for_streams
from prospect.models.stream_settings import StreamSettings
from prospect.models.vlm import VLM
from prospect.training.collate import TARGETS, Item, collator, moved
from prospect.training.losses import dst
from prospect.training.precision import single

TOKENS = 4096  # of one micro-batch, about as much as a clip takes
STEPS = 8


@dataclass(frozen=True)
class Step:
    """Medians of one training step."""

    seconds: float
    flops: int
    tokens: int
    peak_bytes: int


def measure() -> list[Measured]:
    if not torch.cuda.is_available():
        return []
    limit, results = matmul_rate(torch.device("cuda")), []
    for name, grid, stored, target in (("G1 features", [1], True, 0.45), ("G2 frames, native", "native", False, 0.40)):
        settings: Any = StreamSettings(frame_grid=grid)
        vlm = smolvlm2("2.2b", "HuggingFaceTB/SmolVLM2-2.2B-Instruct", weights="random", device="cuda", stream=settings)
        vlm = full(for_streams(vlm), freeze=[r"model\.vision_model", *([r"model\.connector"] if stored else [])])
        step = measured(vlm, stored, TOKENS)
        rate = step.flops / step.seconds
        detail = (
            f"{step.tokens / step.seconds:,.0f} tokens/s, {step.peak_bytes / 1e9:.0f} GB, "
            f"{rate / 1e12:.0f} of {limit / 1e12:.0f} TFLOP/s"
        )
        results.append(Measured(f"{name}: share of the matmul rate", rate / limit, target, True, detail, ""))
        del vlm
        torch.cuda.empty_cache()
    return results


def measured(vlm: VLM, stored: bool, tokens: int) -> Step:
    """One micro-batch trained on again and again: forward, loss, backward, AdamW."""
    kind = next(iter(single(vlm)), None)
    frames = tokens // (2 * vlm.frame_tokens)
    sample = stream(frames, max(2, frames // 8))
    collate = dataclasses.replace(collator(vlm), frames=Made(vlm.frame_layout.images, vlm, stored))
    objective, device = dst(), vlm.device
    batch = moved(collate([Item(sample, encode(vlm.chat(sample), vlm.tokenizer))]), device)
    trained = [p for p in vlm.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5)
    vlm.model.train()

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=kind == "bf16"):
            outputs = vlm.model(**{k: v for k, v in batch.items() if k not in TARGETS}, use_cache=False)
            loss = objective.total(objective.terms(objective(outputs, batch)))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    with FlopCounterMode(display=False) as counter:
        step()
    seconds = timed(step, device)
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    return Step(seconds, counter.get_total_flops(), int(batch["attention_mask"].sum()), peak)


@dataclass(frozen=True)
class Made(FrameLayout):
    """Noise instead of a video: what frames cost to read has claims of its own."""

    vlm: VLM
    stored: bool

    def inputs(self, frames: Any) -> dict[str, torch.Tensor]:
        count, generator = sum(map(len, frames)), torch.Generator().manual_seed(0)
        if self.stored:
            width = self.vlm.model.config.text_config.hidden_size
            return {"frame_features": torch.randn(count, self.vlm.frame_tokens, width, generator=generator)}
        return {"frame_pixels": torch.randn(count, 3, self.images.tile, self.images.tile, generator=generator)}


def matmul_rate(device: torch.device, size: int = 8192) -> float:
    """FLOP/s of one large product in bf16."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / timed(lambda: a @ b, device)


def timed(work: Any, device: torch.device) -> float:
    """Median seconds."""
    seconds = []
    for _ in range(STEPS):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return sorted(seconds)[STEPS // 2]
