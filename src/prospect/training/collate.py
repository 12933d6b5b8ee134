"""Samples to one batch: padding, attention from lengths, pixels opened late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from prospect.conversation.sample import Sample
from prospect.conversation.segments import IGNORE, Encoded
from prospect.models.vlm import VLM
from prospect.training.losses import CHANNELS, learnt_rows

TARGETS = ("labels", "channels", "sample_ids")  # what the losses read and the model never sees


class Item(NamedTuple):
    """A sample with its tokens."""

    sample: Sample
    encoded: Encoded


@dataclass(frozen=True)
class Collator:
    """Picklable, so that workers can run it. Labels and inputs of a row never depend on its neighbours."""

    images: Any  # ImageLayout
    pad_id: int
    side: Literal["left", "right"] = "left"  # left puts the answers at one end: few rows for the LM head

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        batch: dict[str, Any] = pad([item.encoded for item in items], self.pad_id, self.side)
        batch["logits_to_keep"] = learnt_rows(batch["labels"])
        batch |= self.images.pixels([picture for item in items for picture in item.sample.pictures])
        batch["sample_ids"] = [item.sample.id for item in items]
        return batch


def collator(vlm: VLM, side: Literal["left", "right"] = "left") -> Collator:
    pad_id = vlm.tokenizer.pad_token_id
    assert isinstance(pad_id, int), "every chat family has a pad token"
    return Collator(vlm.images, pad_id, side)


def pad(rows: Sequence[Encoded], pad_id: int, side: Literal["left", "right"]) -> dict[str, Tensor]:
    """Attention and positions come from lengths, never from comparing ids with the pad id: pad may equal eos."""
    length = max(len(row) for row in rows)
    shape = (len(rows), length)
    ids, labels = torch.full(shape, pad_id), torch.full(shape, IGNORE)
    channels, attention, positions = torch.zeros(shape).long(), torch.zeros(shape).long(), torch.zeros(shape).long()
    number = {None: 0} | {name: index + 1 for index, name in enumerate(CHANNELS)}
    for index, row in enumerate(rows):
        span = slice(length - len(row), length) if side == "left" else slice(0, len(row))
        ids[index, span] = torch.tensor(row.ids)
        labels[index, span] = torch.tensor(row.labels())
        channels[index, span] = torch.tensor([number[channel] for channel in row.channels])
        attention[index, span] = 1
        positions[index, span] = torch.arange(len(row))
    return {
        "input_ids": ids,
        "attention_mask": attention,
        "position_ids": positions,
        "labels": labels,
        "channels": channels,
    }
