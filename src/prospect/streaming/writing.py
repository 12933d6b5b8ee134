"""How the next token of a turn is chosen: the likeliest, the likeliest that is legal, or the one that is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from prospect.streaming.constrained import LegalUpdate

Choose = Callable[[Tensor, int], int]  # the next token, from logits (V) and how many may still be written


class Greedy:
    """The likeliest token among plain ones and the end: what is written never becomes control."""

    def __init__(self, tokenizer: Any, end: int):
        self.banned = [index for index in tokenizer.added_tokens_decoder if index != end]
        self.known = len(tokenizer)  # a vocabulary may be padded with rows that mean nothing

    def __call__(self, logits_V: Tensor, left: int) -> int:
        plain_V = logits_V[: self.known].clone()
        plain_V[self.banned] = -torch.inf
        return int(plain_V.argmax())


class Legal:
    """The likeliest token that a legal update can go on with."""

    def __init__(self, update: LegalUpdate):
        self.update = update

    def __call__(self, logits_V: Tensor, left: int) -> int:
        options = sorted(self.update.allowed(left))
        token = options[int(logits_V[options].argmax())]
        if token != self.update.end:
            self.update.write(token)
        return token


class Given:
    """Tokens that are known already, whatever the model would have written."""

    def __init__(self, ids: list[int]):
        self.rest: Iterator[int] = iter(ids)

    def __call__(self, logits_V: Tensor, left: int) -> int:
        return next(self.rest)
