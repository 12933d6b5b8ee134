"""Losses as pure functions. Labels arrive unshifted; the one shift of the program is `next_tokens`.

Shapes: B rows of a batch, T tokens, R columns at which the LM head is applied, L learnt points (row, column) of a
batch of streams, M decision points, V vocabulary. Every term is made of pairs (sum, count), so that the trainer can
divide each by the count of the whole optimizer step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from prospect.conversation.segments import CHANNELS, IGNORE, NUMBER

Pairs = dict[str, tuple[Tensor, Tensor]]


def next_tokens(labels_BT: Tensor) -> Tensor:
    """What each position has to predict: the label of the next one. The last position predicts nothing."""
    return F.pad(labels_BT[:, 1:], (0, 1), value=IGNORE)


def learnt_rows(labels_BT: Tensor) -> Tensor:
    """Positions at which any row of the batch has to predict: all that the LM head is applied to."""
    return (next_tokens(labels_BT) != IGNORE).any(dim=0).nonzero().squeeze(1)


def learnt_points(labels_BT: Tensor) -> Tensor:
    """Exactly the points (row, column) that have to predict: (L, 2), by rows."""
    return (next_tokens(labels_BT) != IGNORE).nonzero()


def targets_of(batch: Mapping[str, Tensor], channel: str) -> Tensor:
    """Unshifted labels of one channel."""
    return batch["labels"].masked_fill(batch["channels"] != NUMBER[channel], IGNORE)


def where_predicted(targets_BT: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """The targets at the places that the model gave logits for: (L,) of a batch of streams, else (B, R)."""
    if "learnt_points" in batch:
        return targets_BT[batch["learnt_points"][:, 0], batch["learnt_points"][:, 1]]
    return targets_BT[:, batch["logits_to_keep"]]


def language_modelling(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Summed cross entropy over the positions that have a target, and their number. Computed in fp32."""
    flat = logits.reshape(-1, logits.shape[-1]).float()
    sum_ = F.cross_entropy(flat, targets.reshape(-1), ignore_index=IGNORE, reduction="sum")
    return sum_, (targets != IGNORE).sum()


def decision(logits_M: Tensor, right_M: Tensor, focus: float = 0.0) -> Tensor:
    """Binary cross entropy of each decision in fp32, from logits: never inf. focus γ scales it by (1 − p_right)^γ."""
    loss_M = F.binary_cross_entropy_with_logits(logits_M.float(), right_M.float(), reduction="none")
    return loss_M * (1 - torch.exp(-loss_M)) ** focus if focus else loss_M


@dataclass(frozen=True)
class Piece:
    """A part of a term with a count of its own. The term is Σ share · sum / count over its pieces."""

    term: str
    share: float
    sums: Callable[[Any, Mapping[str, Tensor]], Tensor]
    count: Callable[[Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Objective:
    """The weight of every term, and what each is made of."""

    weights: dict[str, float]
    pieces: dict[str, Piece]

    def counts(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What each piece is divided by: known before the model has run."""
        return {name: piece.count(batch) for name, piece in self.pieces.items()}

    def __call__(self, outputs: Any, batch: Mapping[str, Tensor]) -> Pairs:
        return {name: (piece.sums(outputs, batch), piece.count(batch)) for name, piece in self.pieces.items()}

    def terms(self, pairs: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        """The value of every term. A piece without members adds an exact 0, with a gradient of 0."""
        values: dict[str, Tensor] = {}
        for name, (sum_, count) in pairs.items():
            piece = self.pieces[name]
            value = piece.share * sum_ / count.clamp(min=1)
            values[piece.term] = values[piece.term] + value if piece.term in values else value
        return values

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Σ w_k · term_k."""
        return torch.stack([self.weights[term] * value for term, value in terms.items()]).sum()


def language(term: str, channel: str) -> dict[str, Piece]:
    def sums(outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        return language_modelling(outputs.logits, where_predicted(next_tokens(targets_of(batch, channel)), batch))[0]

    def count(batch: Mapping[str, Tensor]) -> Tensor:
        return (next_tokens(targets_of(batch, channel)) != IGNORE).sum()

    return {term: Piece(term, 1.0, sums, count)}


def binary(term: str, column: int, right: bool | None, share: float, focus: float = 0.0) -> Piece:
    """Decisions of one kind: all of them, or only those whose right answer is `right`."""

    def members(batch: Mapping[str, Tensor]) -> Tensor:
        labels_M = batch["decision_labels"][:, column]
        return torch.ones_like(labels_M, dtype=torch.bool) if right is None else labels_M == right

    def sums(outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        if outputs.decisions is None:
            raise ValueError(f"loss: {term} has a weight, and the model has no decisions (model.stream.heads=none)")
        loss_M = decision(outputs.decisions[:, column], batch["decision_labels"][:, column], focus)
        return loss_M.masked_fill(~members(batch), 0.0).sum()

    return Piece(term, share, sums, lambda batch: members(batch).sum())


def lm(weights: dict[str, float]) -> Objective:
    """`conf/loss/lm.yaml`: the weight of every channel that is learnt."""
    if unknown := sorted(set(weights) - set(CHANNELS)):
        raise ValueError(f"loss.weights: unknown channel {unknown[0]!r}; known are {', '.join(CHANNELS)}")
    return Objective(dict(weights), {k: v for channel in weights for k, v in language(channel, channel).items()})


def dst(
    speaking_gen_weight: float = 1.0,
    dst_gen_weight: float = 1.0,
    speaking_binary_weight: float = 1.0,
    dst_binary_weight: float = 1.0,
    decisions: Literal["balanced", "plain", "focal"] = "balanced",
    focus: float = 2.0,
) -> Objective:
    """`conf/loss/dst.yaml`: what is said, what changes, and the two decisions. A term of weight 0 is left out."""
    weights = {
        "speaking_gen": speaking_gen_weight,
        "dst_gen": dst_gen_weight,
        "speaking_binary": speaking_binary_weight,
        "dst_binary": dst_binary_weight,
    }
    if wrong := [f"loss.{term}_weight={weight}" for term, weight in weights.items() if weight < 0]:
        raise ValueError(f"{wrong[0]}: a weight is 0 or more")
    pieces = language("speaking_gen", "speak") | language("dst_gen", "dst")
    for column, term in enumerate(("speaking_binary", "dst_binary")):
        if decisions == "balanced":
            pieces |= {f"{term}/{answer}": binary(term, column, answer == "yes", 0.5) for answer in ("yes", "no")}
        else:
            pieces[term] = binary(term, column, None, 1.0, focus if decisions == "focal" else 0.0)
    wanted = {term: weight for term, weight in weights.items() if weight > 0}
    if not wanted:
        raise ValueError("loss: every weight is 0, so nothing would be learnt")
    return Objective(wanted, {name: piece for name, piece in pieces.items() if piece.term in wanted})
