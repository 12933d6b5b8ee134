"""Muon for the matrices inside the blocks, AdamW for all the rest, behind one optimizer."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import TrainingArguments


class MuonAndAdamW(torch.optim.Optimizer):
    """Two optimizers that share one list of groups, so that one schedule drives both learning rates."""

    def __init__(self, muon: torch.optim.Muon, adamw: torch.optim.AdamW):
        self.parts = (muon, adamw)
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


def muon_and_adamw(model: nn.Module, args: TrainingArguments, matrix_learning_rate: float) -> MuonAndAdamW:
    """Matrices of transformer layers and the connector by Muon; embeddings, heads, norms and biases by AdamW."""
    learnt = {name: p for name, p in model.named_parameters() if p.requires_grad}
    matrices = [p for name, p in learnt.items() if p.ndim == 2 and not _looked_up(name)]
    others = [p for name, p in learnt.items() if p.ndim != 2 or _looked_up(name)]
    betas = (args.adam_beta1, args.adam_beta2)
    decay = args.weight_decay
    return MuonAndAdamW(
        torch.optim.Muon(matrices, lr=matrix_learning_rate, weight_decay=decay),
        torch.optim.AdamW(others, lr=args.learning_rate, betas=betas, eps=args.adam_epsilon, weight_decay=decay),
    )


def _looked_up(name: str) -> bool:
    return any(part in name for part in ("embed", "lm_head"))
