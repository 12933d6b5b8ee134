"""Positions in three coordinates (time, height, width), as Qwen-VL counts them.

A text token takes one place and stands there in all three. A picture of h × w tokens begins at the next place, with
each token as far along height and width as it is down and right in the picture; max(h, w) places further on what
follows it begins. Tokens of padding take none.

Shapes: B rows, T positions, S image tokens of all rows in order, E tokens of one block.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Block = tuple[int, int]  # tokens down and across


def positions(slots_BT: Tensor, attention_BT: Tensor, blocks: Sequence[Block]) -> Tensor:
    """(3, B, T): slots_BT marks image tokens, blocks say how they lie, row by row."""
    offsets_3S, steps_S = lain(blocks)
    assert int(slots_BT.sum()) == len(steps_S), "as many places as image tokens"
    return walked(slots_BT, attention_BT, offsets_3S, steps_S)[0]


def lain(blocks: Sequence[Block]) -> tuple[Tensor, Tensor]:
    """(3, S) how far each image token lies from where its block begins, and (S) how far what follows it does."""
    alike = {block: _block(*block) for block in set(blocks)}
    offsets = [alike[block][0] for block in blocks]
    return torch.cat([torch.zeros((3, 0)).long(), *offsets], 1), torch.cat(
        [torch.zeros(0).long(), *(alike[block][1] for block in blocks)]
    )


def walked(slots_BT: Tensor, attention_BT: Tensor, offsets_3S: Tensor, steps_S: Tensor) -> tuple[Tensor, Tensor]:
    """Positions (3, B, T) counted from 0, and the place (B, T) of what would follow each token."""
    steps_BT = attention_BT.long().masked_scatter(slots_BT, steps_S.to(attention_BT.device))
    ends_BT = steps_BT.cumsum(1)
    offsets_3BT = torch.zeros((3, *slots_BT.shape), dtype=torch.long, device=slots_BT.device)
    offsets_3BT = offsets_3BT.masked_scatter(slots_BT.expand(3, -1, -1), offsets_3S.to(slots_BT.device))
    return (ends_BT - steps_BT) * attention_BT + offsets_3BT, ends_BT


def _block(height: int, width: int) -> tuple[Tensor, Tensor]:
    down_E = torch.arange(height).repeat_interleave(width)
    across_E = torch.arange(width).repeat(height)
    steps_E = torch.zeros(height * width, dtype=torch.long)
    steps_E[-1] = max(height, width)
    return torch.stack([torch.zeros_like(down_E), down_E, across_E]), steps_E
