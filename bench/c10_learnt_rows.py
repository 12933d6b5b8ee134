"""C10: the LM head on learnt rows only, against full logits; one row in ten is learnt. Loss and gradient are equal."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from bench.measure import Measured, side_by_side
from prospect.conversation.segments import IGNORE
from prospect.training.losses import language_modelling, learnt_rows, next_tokens

T, H, V = 1024, 576, 49280  # a sample of SmolVLM2-256M's width


def measure() -> list[Measured]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    hidden_1TH, head = torch.randn(1, T, H, requires_grad=True), torch.nn.Linear(H, V, bias=False)
    labels_1T = torch.full((1, T), IGNORE)
    labels_1T[:, -(T // 10) :] = torch.randint(0, V, (1, T // 10))
    targets_1T, rows = next_tokens(labels_1T), learnt_rows(labels_1T)

    def learnt() -> torch.Tensor:
        sum_, count = language_modelling(head(hidden_1TH[:, rows]), targets_1T[:, rows])
        return sum_ / count

    def full() -> torch.Tensor:
        return F.cross_entropy(head(hidden_1TH).flatten(0, 1).float(), targets_1T.flatten(), ignore_index=IGNORE)

    results = []
    for loss in (learnt, full):
        hidden_1TH.grad = head.weight.grad = None
        value = loss()
        value.backward()
        assert hidden_1TH.grad is not None
        results.append((value.item(), hidden_1TH.grad.clone()))
    assert abs(results[0][0] - results[1][0]) < 1e-5
    assert torch.allclose(results[0][1], results[1][1], atol=1e-5)
    ours, theirs = side_by_side(lambda: learnt().backward(), lambda: full().backward(), rounds=3)
    detail = f"{ours * 1e3:.0f} ms against {theirs * 1e3:.0f} ms, forward and backward"
    saved = Measured("C10 logits kept, bytes", len(rows) / T, 0.3, False, "learnt rows / all rows")
    return [Measured("C10 loss tail on learnt rows", theirs / ours, 8.0, True, detail), saved]
