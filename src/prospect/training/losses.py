"""Losses as pure functions. Labels arrive unshifted; the one shift of the program is `next_tokens`.

Shapes: B rows of a batch, T tokens, R rows of the sequence at which the LM head is applied, V vocabulary.
Every term is a pair (sum, count), so that the trainer can divide by the count of the whole optimizer step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from prospect.conversation.segments import IGNORE

CHANNELS = ("answer", "speak", "dst")  # the index in this tuple + 1 is a token's number in `batch["channels"]`

Terms = dict[str, tuple[Tensor, Tensor]]


def next_tokens(labels_BT: Tensor) -> Tensor:
    """What each position has to predict: the label of the next one. The last position predicts nothing."""
    return F.pad(labels_BT[:, 1:], (0, 1), value=IGNORE)


def learnt_rows(labels_BT: Tensor) -> Tensor:
    """Positions at which any row of the batch has to predict: all that the LM head is applied to."""
    return (next_tokens(labels_BT) != IGNORE).any(dim=0).nonzero().squeeze(1)


def language_modelling(logits_BRV: Tensor, targets_BR: Tensor) -> tuple[Tensor, Tensor]:
    """Summed cross entropy over the positions that have a target, and their number. Computed in fp32."""
    sum_ = F.cross_entropy(logits_BRV.flatten(0, 1).float(), targets_BR.flatten(), ignore_index=IGNORE, reduction="sum")
    return sum_, (targets_BR != IGNORE).sum()


def targets_of(batch: Mapping[str, Tensor], channel: str) -> Tensor:
    """Unshifted labels of one channel."""
    return batch["labels"].masked_fill(batch["channels"] != CHANNELS.index(channel) + 1, IGNORE)


@dataclass(frozen=True)
class LanguageLoss:
    """Language modelling, one term a channel, each with its weight."""

    weights: dict[str, float] = field(default_factory=lambda: {"answer": 1.0})

    def counts(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Number of learnt positions of each term: known before the model has run."""
        return {term: (next_tokens(targets_of(batch, term)) != IGNORE).sum() for term in self.weights}

    def __call__(self, outputs: Any, batch: Mapping[str, Tensor]) -> Terms:
        rows = batch["logits_to_keep"]
        return {
            term: language_modelling(outputs.logits, next_tokens(targets_of(batch, term))[:, rows])
            for term in self.weights
        }


def lm(weights: dict[str, float]) -> LanguageLoss:
    """`conf/loss/lm.yaml`: the weight of every channel that is learnt."""
    unknown = sorted(set(weights) - set(CHANNELS))
    if unknown:
        raise ValueError(f"loss.weights: unknown channel {unknown[0]!r}; known are {', '.join(CHANNELS)}")
    return LanguageLoss(dict(weights))


def hits(logits_BRV: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """How many learnt tokens the model ranks first given the true ones before them, and their number."""
    targets = next_tokens(batch["labels"])[:, batch["logits_to_keep"]]
    learnt = targets != IGNORE
    return ((logits_BRV.argmax(-1) == targets) & learnt).sum(), learnt.sum()


def weighted(terms: Terms, counts: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Σ_k w_k · sum_k / count_k with the counts of the whole optimizer step; an empty term adds an exact 0."""
    parts = [weights[name] * sum_ / counts[name].clamp(min=1) for name, (sum_, _) in terms.items()]
    return torch.stack(parts).sum()
