"""Samples to one batch: padding, attention from lengths, pixels opened late."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.sampling import kept
from prospect.conversation.segments import IGNORE, Encoded, encode
from prospect.models.frames import FrameLayout
from prospect.models.layout import Layout
from prospect.models.vlm import VLM
from prospect.training.losses import learnt_points, learnt_rows

# What the losses read and the model never sees.
TARGETS = ("labels", "channels", "decision_labels", "decision_kinds", "sample_ids")


class Item(NamedTuple):
    """A sample with its tokens, drawn in some epoch of training; None is evaluation.

    `rejected`: of a pair of answers the tokens with the one that was not preferred.
    """

    sample: Sample
    encoded: Encoded
    epoch: int | None = None
    rejected: Encoded | None = None


@dataclass(frozen=True)
class Collator:
    """Picklable, so that workers can run it. Labels and inputs of a row never depend on its neighbours."""

    images: Layout
    frames: FrameLayout
    pad_id: int
    neg_frame_sampling_rate: float = 1.0
    seed: int = 0
    side: Literal["left", "right"] = "left"  # left puts the answers at one end: few rows for the LM head
    blank: Item | None = None  # joins batches of words alone where others have pictures: see `company`

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        ids = [item.sample.id for item in items]
        if self.blank and not any(item.sample.pictures for item in items):
            items = [*items, self.blank]
        batch: dict[str, Any] = pad([item.encoded for item in items], self.pad_id, self.side)
        batch["sample_ids"] = ids
        frames = [frames for item in items for frames in item.sample.frames]
        if not frames:
            batch["logits_to_keep"] = learnt_rows(batch["labels"])
            pictures = [picture for item in items for picture in item.sample.pictures]
            batch |= self.images.places(batch["input_ids"], batch["attention_mask"], pictures)
            return batch | self.images.pixels(pictures)
        batch["learnt_points"] = learnt_points(batch["labels"])
        return batch | self._decisions(items, batch["input_ids"].shape[1]) | self.frames.inputs(frames)

    def _decisions(self, items: Sequence[Item], length: int) -> dict[str, Any]:
        """Decision points (row, column), what is right at each as (speak, dst), and the kinds of event there."""
        points, labels, kinds = [], [], []
        for row, item in enumerate(items):
            shift = length - len(item.encoded) if self.side == "left" else 0
            numbers = self.kept(item)
            columns = item.encoded.points[numbers] + shift
            points.append(np.stack([np.full_like(columns, row), columns], axis=1))
            labels.append(item.encoded.right[numbers])
            decisions = list(item.encoded.decisions.values())
            kinds += [decisions[number].kinds for number in numbers]
        return {
            "decision_points": torch.from_numpy(np.concatenate(points)),
            "decision_labels": torch.from_numpy(np.concatenate(labels)),
            "decision_kinds": kinds,
        }

    def kept(self, item: Item) -> np.ndarray:
        """The numbers of the item's decisions that carry a label in its epoch."""
        if item.epoch is None:
            return kept(item.encoded)
        return kept(item.encoded, self.neg_frame_sampling_rate, f"{self.seed} {item.epoch} {item.sample.id}")


@dataclass(frozen=True)
class Unwrapped:
    """For a loader whose every element is already a whole micro-batch."""

    collate: Collator

    def __call__(self, batches: Sequence[Sequence[Item]]) -> dict[str, Any]:
        (items,) = batches
        return self.collate(items)


def collator(
    vlm: VLM,
    side: Literal["left", "right"] = "left",
    neg_frame_sampling_rate: float = 1.0,
    seed: int = 0,
    blank: Item | None = None,
) -> Collator:
    pad_id = vlm.tokenizer.pad_token_id
    assert isinstance(pad_id, int), "every chat family has a pad token"
    return Collator(vlm.images, vlm.frame_layout, pad_id, neg_frame_sampling_rate, seed, side, blank)


def company(vlm: VLM, items: Iterable[Item]) -> Item | None:
    """A row with a blank picture and nothing to learn, where some of the items have pictures and some words alone.

    It lets the vision tower run, with a gradient of zero, in every micro-batch of every rank: ranks that share a spread
    model would else wait for each other for ever, and a step of words alone would move the tower in one set-up and
    leave it in another.
    """
    still = {bool(item.sample.pictures) for item in items if not item.sample.frames}
    return blank_item(vlm) if len(still) == 2 else None


def blank_item(vlm: VLM) -> Item:
    sample = Sample("blank", (Turn("user", (Picture(Image.new("RGB", (32, 32)), blank=True),)),))
    return Item(sample, encode(vlm.chat(sample), vlm.tokenizer, sample.id))


def pad(rows: Sequence[Encoded], pad_id: int, side: Literal["left", "right"]) -> dict[str, Tensor]:
    """Attention and positions come from lengths, never from comparing ids with the pad id: pad may equal eos."""
    length = max(len(row) for row in rows)
    shape = (len(rows), length)
    ids, labels = torch.full(shape, pad_id), torch.full(shape, IGNORE)
    channels, attention, positions = torch.zeros(shape).long(), torch.zeros(shape).long(), torch.zeros(shape).long()
    for index, row in enumerate(rows):
        span = slice(length - len(row), length) if side == "left" else slice(0, len(row))
        ids[index, span] = torch.from_numpy(row.tokens).long()
        channels[index, span] = torch.from_numpy(row.numbers).long()
        attention[index, span] = 1
        positions[index, span] = torch.arange(len(row))
    learnt = channels > 0
    labels[learnt] = ids[learnt]
    return {
        "input_ids": ids,
        "attention_mask": attention,
        "position_ids": positions,
        "labels": labels,
        "channels": channels,
    }


def moved(batch: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}
