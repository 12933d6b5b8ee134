"""The modules that decide: when to speak, and when the state changes. Computed in float32, whatever they are stored in.

Shapes: M decision points, D width of the language model.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization as init

from prospect.conversation.segments import DECISIONS

# An untrained assistant should be silent: events are rare, and a loss that does not balance the classes would spend its
# first steps on learning just that. A balanced loss undoes it within a few steps.
PRIOR = 0.1


class LastLayer(nn.Linear):
    """A layer whose bias starts at the prior."""


class BinaryDecisions(nn.Module):
    """Two logits from a hidden state. Computed in float32, whatever type the weights have."""

    def __init__(self, width: int, head: str):
        super().__init__()
        # The mlp is as wide as what it reads, so that nothing is squeezed out before its one bend; SiLU as in the
        # language model's own layers.
        self.hidden = nn.Linear(width, width) if head == "mlp" else None
        self.out = LastLayer(width, len(DECISIONS))

    def forward(self, hidden_MD: Tensor) -> Tensor:
        hidden_MD = hidden_MD.float()
        if self.hidden is not None:
            hidden_MD = F.silu(_linear(self.hidden, hidden_MD))
        return _linear(self.out, hidden_MD)


class TokenDecisions(nn.Module):
    """What is learnt on top of the LM head's rows of four spare tokens: speak yes, speak no, dst yes, dst no.

    The rows belong to the LM head, which an adapter leaves alone and which may be tied to the embeddings. A delta of
    our own can be learnt and saved in every adaptation mode.
    """

    def __init__(self, width: int):
        super().__init__()
        self.delta = nn.Parameter(torch.zeros(2 * len(DECISIONS), width))

    def forward(self, hidden_MD: Tensor) -> Tensor:
        return hidden_MD.float() @ self.delta.float().T


def begin(module: nn.Module) -> None:
    """The first weights of heads, where they are not the usual ones."""
    if isinstance(module, LastLayer):
        init.constant_(module.bias, math.log(PRIOR / (1 - PRIOR)))
    elif isinstance(module, TokenDecisions):
        init.zeros_(module.delta)


def uncast(x: Tensor) -> AbstractContextManager:
    """Arithmetic in the types that are written here, under autocast too; shapes alone (meta) know no autocast."""
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return F.linear(x, layer.weight.float(), layer.bias.float())
