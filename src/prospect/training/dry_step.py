"""One training step in shapes alone: what it would cost is counted before a large machine is asked for it."""

from __future__ import annotations

from dataclasses import dataclass

from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from prospect.models.vlm import VLM
from prospect.training.collate import TARGETS, Collator, Item, moved
from prospect.training.losses import Objective

ADAMW_BYTES = 8  # two float32 moments a trained parameter


@dataclass(frozen=True)
class Cost:
    """Of one micro-batch. `bytes_`: weights, gradients and AdamW's moments; activations come on top."""

    samples: int
    tokens: int
    frames: int
    flops: int
    bytes_: int


def dry_step(vlm: VLM, collate: Collator, objective: Objective, items: list[Item]) -> Cost:
    """Forward, loss and backward on the model's own device, which is meant to be meta."""
    batch = moved(collate(items), vlm.device)
    was_training = vlm.model.training
    vlm.model.train()
    # transformers looks into its masks for numbers, which meta tensors have not, unless it sees fake ones.
    with FakeTensorMode(allow_non_fake_inputs=True), FlopCounterMode(display=False) as counter:
        outputs = vlm.model(**{key: value for key, value in batch.items() if key not in TARGETS}, use_cache=False)
        objective.total(objective.terms(objective(outputs, batch))).backward()
    trained = [p for p in vlm.model.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.shape == p.shape for p in trained), "a trained weight without a gradient"
    vlm.model.zero_grad()
    vlm.model.train(was_training)
    return Cost(
        samples=len(items),
        tokens=sum(len(item.encoded) for item in items),
        frames=sum(len(frames) for item in items for frames in item.sample.frames),
        flops=counter.get_total_flops(),
        bytes_=sum(p.numel() * p.element_size() for p in vlm.model.parameters())
        + sum(p.numel() * (p.element_size() + ADAMW_BYTES) for p in trained),
    )
