"""Muon for the matrices inside the blocks, AdamW for all the rest, behind one optimizer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn
from transformers import Trainer, TrainingArguments

from prospect.errors import UserError
from prospect.models.parts import part_named, part_of


class MuonAndAdamW(torch.optim.Optimizer):
    """Two optimizers that share one list of groups, so that one schedule drives both learning rates.

    One alone where there is nothing for the other: an adapter may be made of matrices only.
    """

    def __init__(self, *parts: torch.optim.Muon | torch.optim.AdamW):
        self.parts = parts
        super().__init__([group for part in self.parts for group in part.param_groups], {})
        self._share_groups()

    def _share_groups(self) -> None:
        groups = iter(self.param_groups)
        for part in self.parts:
            part.param_groups = [next(groups) for _ in part.param_groups]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        assert closure is None, "the Trainer passes no closure"
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def muon_and_adamw(
    model: nn.Module, args: TrainingArguments, matrix_learning_rate: float, rates: Mapping[str, float]
) -> MuonAndAdamW:
    """Matrices of transformer layers and the connector by Muon; embeddings, heads, norms and biases by AdamW.

    A part with a learning rate of its own has its matrices' rate scaled alike.
    """
    learnt = {name: p for name, p in model.named_parameters() if p.requires_grad}
    matrices = {name: p for name, p in learnt.items() if p.ndim == 2 and not _apart(name)}
    betas = (args.adam_beta1, args.adam_beta2)
    scaled = {part: matrix_learning_rate * rate / args.learning_rate for part, rate in rates.items()}
    others = {name: p for name, p in learnt.items() if name not in matrices}
    decay = args.weight_decay
    inside, beside = _groups(matrices, scaled), _groups(others, rates)
    parts: list[torch.optim.Muon | torch.optim.AdamW] = []
    if inside:
        parts.append(torch.optim.Muon(inside, lr=matrix_learning_rate, weight_decay=decay))
    if beside:
        parts.append(
            torch.optim.AdamW(beside, lr=args.learning_rate, betas=betas, eps=args.adam_epsilon, weight_decay=decay)
        )
    return MuonAndAdamW(*parts)


def by_part(
    model: nn.Module, args: TrainingArguments, rates: Mapping[str, float], decaying: Collection[str]
) -> torch.optim.Optimizer:
    """The optimizer of `trainer.args.optim`, with a learning rate for each part of the model."""
    kind, options = Trainer.get_optimizer_cls_and_kwargs(args)
    learnt = {name: p for name, p in model.named_parameters() if p.requires_grad}
    decayed = {name: p for name, p in learnt.items() if name in decaying}
    others = {name: p for name, p in learnt.items() if name not in decaying}
    groups = [group | {"weight_decay": args.weight_decay} for group in _groups(decayed, rates)]
    groups += [group | {"weight_decay": 0.0} for group in _groups(others, rates)]
    return kind(groups, **options)


def rates_of(model: nn.Module, rates: Mapping[str, float]) -> dict[str, float]:
    """The user's learning rates, by part. A rate of what is not trained is a mistake."""
    parts = sorted({part_of(name) for name, p in model.named_parameters() if p.requires_grad})
    found: dict[str, float] = {}
    for word, rate in rates.items():
        part = part_named(word)
        if part not in parts:
            raise UserError(
                f"trainer.learning_rates: there is no part {word!r} that is trained; there are {', '.join(parts)}"
            )
        if part in found:
            raise UserError(f"trainer.learning_rates: {part} has two rates; leave one out")
        found[part] = rate
    return found


def _groups(parameters: Mapping[str, nn.Parameter], rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """One group for all parts that have no rate of their own, and one for each that has."""
    parts: dict[str | None, list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        part = part_of(name)
        parts.setdefault(part if part in rates else None, []).append(parameter)
    return [{"params": members} | ({"lr": rates[part]} if part else {}) for part, members in parts.items()]


def _apart(name: str) -> bool:
    """Matrices that are looked up, or whose rows are directions of their own: Muon would make all rows alike."""
    return any(part in name for part in ("embed", "lm_head", "decisions"))
