"""Pooling is what it says, and a grid that means nothing is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prospect.errors import UserError
from prospect.models.grids import pooled, tokens_of


@given(st.integers(1, 9), st.data())
def test_pooling_is_the_mean_over_cells(side, data):
    edges = sorted(data.draw(st.sets(st.integers(1, side), min_size=1, max_size=3)))
    grid = torch.randn(2, side, side, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(side))
    expected = []
    for edge in edges:
        for row in range(edge):
            for column in range(edge):
                rows = slice(row * side // edge, -(-(row + 1) * side // edge))
                columns = slice(column * side // edge, -(-(column + 1) * side // edge))
                expected.append(grid[:, rows, columns].mean(dim=(1, 2)))
    got = pooled(grid, edges)
    assert got.shape[1] == tokens_of(edges, side) == len(expected)
    assert torch.allclose(got, torch.stack(expected, dim=1))


@pytest.mark.parametrize("grid", [[], [0], [2, 1], [2, 2], [1, 5]])
def test_grids_that_mean_nothing_are_refused(grid):
    with pytest.raises(UserError, match="frame_grid"):
        tokens_of(grid, side=4)
