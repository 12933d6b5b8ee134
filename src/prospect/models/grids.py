"""A frame's tokens: the grid of features that the connector makes of a picture, pooled to coarser ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from prospect.errors import UserError


def tokens_of(grid: Sequence[int] | None, side: int) -> int:
    """Tokens that a connector's grid of `side` × `side` is pooled to; coarse to fine, None keeps all."""
    if grid is None:
        return side**2
    if not grid or min(grid) < 1 or list(grid) != sorted(set(grid)):
        raise UserError(f"frame_grid lists edges from coarse to fine, such as [1, 3], or is native, not {list(grid)}")
    if max(grid) > side:
        raise UserError(
            f"frame_grid {list(grid)} is finer than the {side}×{side} tokens that the model has of a picture; "
            f"use at most {side}, or native"
        )
    return sum(edge**2 for edge in grid)


def pooled(grid_NGGD: Tensor, edges: Sequence[int] | None) -> Tensor:
    """(N, I, D): means over the cells of each coarser grid, row by row, the coarsest grid first."""
    if edges is None:
        return grid_NGGD.flatten(1, 2)
    x_NDGG = grid_NGGD.permute(0, 3, 1, 2)
    return torch.cat([F.adaptive_avg_pool2d(x_NDGG, edge).flatten(2) for edge in edges], dim=2).transpose(1, 2)
