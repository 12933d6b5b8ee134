"""Which of two answers a model prefers: by its own likelihood, and by the reward that training has put into it.

The implicit reward of an answer y to x is r = β · (log π(y | x) − log π_ref(y | x)): how much likelier training has
made it than it was. log π is the sum over the answer's tokens, its end token included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prospect.conversation.preference import rejected
from prospect.conversation.sample import Sample
from prospect.models.vlm import VLM
from prospect.training.audit import encoded_split
from prospect.training.collate import TARGETS, Collator, Item, collator, moved
from prospect.training.losses import IGNORE, next_tokens, where_predicted
from prospect.training.processes import gathered, rounds, share


@dataclass(frozen=True)
class Reference:
    """What a policy is measured against, and β, the unit of the measure."""

    vlm: VLM
    beta: float


@dataclass(frozen=True)
class Preferred:
    """log π of both answers of P pairs, (P, 2): chosen and rejected; and the same of the reference, if there is one."""

    policy: np.ndarray
    reference: np.ndarray | None = None
    beta: float = 0.1

    @property
    def likelier(self) -> np.ndarray:
        """1 where the policy itself finds the chosen answer likelier, ½ where both are as likely. Needs no training."""
        return _won(self.policy[:, 0] - self.policy[:, 1])

    @property
    def likelier_before(self) -> np.ndarray:
        """The same of the reference: where the model stood when training began."""
        assert self.reference is not None
        return _won(self.reference[:, 0] - self.reference[:, 1])

    @property
    def margins(self) -> np.ndarray:
        """r(chosen) − r(rejected): 0 everywhere as long as policy and reference are the same."""
        assert self.reference is not None
        rewards = self.beta * (self.policy - self.reference)
        return rewards[:, 0] - rewards[:, 1]

    @property
    def accuracy(self) -> np.ndarray:
        """1 where the chosen answer has the higher reward, ½ where both have the same: so ½ before training.

        (TRL counts equal rewards as wrong, so its own curve begins at 0.)
        """
        return _won(self.margins)

    def columns(self) -> dict[str, np.ndarray]:
        """By the names of the metrics, a number a pair."""
        found = {"preference_likelier": self.likelier}
        if self.reference is not None:
            found = {"preference_accuracy": self.accuracy, "preference_margin": self.margins} | found
            found["preference_likelier_before"] = self.likelier_before
        return found

    def means(self) -> dict[str, float]:
        return {name: float(values.mean()) for name, values in self.columns().items()}


def _won(differences: np.ndarray) -> np.ndarray:
    return (np.sign(differences) + 1) / 2


def encoded_pairs(vlm: VLM, samples: Sequence[Sample], where: str, max_length: int | None = None) -> list[Item]:
    """Both answers of every sample, audited: a conversation that is too long with either stops the run."""
    chosen = encoded_split(vlm, samples, where, max_length)
    others = encoded_split(vlm, [rejected(sample) for sample in samples], f"{where}, rejected", max_length)
    return [item._replace(rejected=other.encoded) for item, other in zip(chosen, others, strict=True)]


def both(items: Sequence[Item]) -> list[Item]:
    """All the chosen answers, then all the rejected ones, as TRL has them."""
    twins = []
    for item in items:
        assert item.rejected is not None, "a sample of words with one answer is no pair"
        twins.append(Item(rejected(item.sample), item.rejected))
    return [*items, *twins]


@torch.no_grad()
def preferred(vlm: VLM, items: Sequence[Item], batch_size: int) -> np.ndarray:
    """(P, 2): log π of the chosen and of the rejected answer of each pair. Ranks share the work."""
    was_training, collate = vlm.model.training, collator(vlm)
    vlm.model.eval()
    found: list[list[float]] = []
    for part, counts in rounds(items, share(items), batch_size):
        if not counts:
            continue
        values = log_probs(vlm.model, collate, both(part)).view(2, -1).T
        found += values.double().cpu().tolist()
    vlm.model.train(was_training)
    return np.array(gathered(found), float).reshape(-1, 2)


def log_probs(model: Any, collate: Collator, items: Sequence[Item]) -> Tensor:
    """(B,): Σ log p of what is learnt of each row, given all that stands before it. Computed in fp32."""
    batch = moved(collate(items), next(model.parameters()).device)
    outputs = model(**{key: value for key, value in batch.items() if key not in TARGETS}, use_cache=False)
    targets_BR = where_predicted(next_tokens(batch["labels"]), batch)
    every_BRV = outputs.logits.float().log_softmax(-1)
    taken_BR = every_BRV.gather(-1, targets_BR.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return taken_BR.masked_fill(targets_BR == IGNORE, 0.0).sum(1)
