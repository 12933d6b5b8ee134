"""The keys and values of streams, in memory that is taken once: appended to, rolled back, dropped in the middle.

transformers' DynamicCache copies everything for every token, its StaticCache always attends to all of its memory. Here
a call writes in place and attends to what is filled. Rows are streams of their own lengths.

A token's place in memory is its position, too, unless its family has frames lie otherwise (`models/mrope.py`): then
positions in A coordinates are kept beside the keys.

Shapes: B rows of a call, R of all rows, H heads, T places in memory, Q places of a call, A coordinates, F frequencies,
D width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

FIXED = ("default", "linear", "llama3", "yarn")  # kinds of RoPE whose frequencies don't follow the length


class StreamCache(Cache):
    """`lengths`: how much of each row is filled. A call is announced by `begin` and over with `done`."""

    def __init__(self, decoder: Any, rows: int, length: int):
        assert decoder.rotary_emb.rope_type in FIXED, "keys can only be turned by frequencies that stay"
        super().__init__(layers=[StreamLayer(self) for _ in range(decoder.config.num_hidden_layers)])
        self.rotary = decoder.rotary_emb
        self.room = length
        self.lengths = [0] * rows
        self.rows: list[int] = []  # of the call under way, and what it adds to each of them
        self.counts: list[int] = []
        self.places: tuple[Tensor, Tensor, Tensor] | None = None  # its (row, column, place), with several rows
        self.positions_ART: Tensor | None = None
        self.ends_RT = torch.zeros((rows, 0)).long()  # the position of what would follow each token

    def begin(self, rows: Sequence[int], counts: Sequence[int], device: torch.device) -> Tensor:
        """The places (B, Q) of a call that adds so many to each of the rows, which are all of them or one.

        Those of padding go on counting.
        """
        assert len(rows) == 1 or list(rows) == list(range(len(self.lengths)))
        self.rows, self.counts = list(rows), list(counts)
        assert self.filled <= self.room, f"{self.filled} positions in a cache of {self.room}"
        lengths_B1 = torch.tensor([self.lengths[row] for row in rows])[:, None]
        places_BQ = lengths_B1 + torch.arange(max(counts))
        if len(rows) > 1:
            at, columns = (torch.arange(max(counts)) < torch.tensor(counts)[:, None]).nonzero(as_tuple=True)
            self.places = (at.to(device), columns.to(device), places_BQ[at, columns].to(device))
        return places_BQ.to(device)

    def placed(self, positions_ABQ: Tensor, ends_BQ: Tensor) -> Tensor:
        """The positions (A, B, Q) of the call under way, given as if each row began with it; they are kept."""
        if self.positions_ART is None:
            shape = (len(self.lengths), self.room)
            self.positions_ART, self.ends_RT = (
                torch.zeros((len(positions_ABQ), *shape)).long(),
                torch.zeros(shape).long(),
            )
        starts_B1 = torch.tensor([self._position(row, self.lengths[row]) for row in self.rows])[:, None]
        positions_ABQ, ends_BQ = positions_ABQ.cpu() + starts_B1, ends_BQ.cpu() + starts_B1
        for at, (row, count) in enumerate(zip(self.rows, self.counts, strict=True)):
            span = slice(self.lengths[row], self.lengths[row] + count)
            self.positions_ART[:, row, span] = positions_ABQ[:, at, :count]
            self.ends_RT[row, span] = ends_BQ[at, :count]
        return positions_ABQ

    def _position(self, row: int, place: int) -> int:
        """Where a token begins that comes to a place."""
        if self.positions_ART is None:
            return place
        return int(self.ends_RT[row, place - 1]) if place else 0

    def done(self) -> None:
        for row, count in zip(self.rows, self.counts, strict=True):
            self.lengths[row] += count
        self.rows, self.counts = [], []

    @property
    def filled(self) -> int:
        """The longest row of the call under way, with what it adds."""
        return max(self.lengths[row] + count for row, count in zip(self.rows, self.counts, strict=True))

    def cut(self, row: int, length: int) -> None:
        """Roll a row back; what lies behind is written over."""
        assert 0 <= length <= self.lengths[row]
        self.lengths[row] = length

    def drop(self, row: int, start: int, stop: int) -> None:
        """Part with positions from start to before stop; those behind move up, their keys turned to their new places.

        What is kept has still seen what was dropped, so in a model of several layers this is not what a fresh forward
        over the rest would give, though of one layer it is; feeding the rest again is exact.
        """
        length = self.lengths[row]
        assert 0 <= start < stop <= length
        by, end = self._position(row, start) - self._position(row, stop), length - (stop - start)
        if self.positions_ART is None:
            cos, sin = self._turn(torch.arange(stop, length)[None], by)
        else:
            cos, sin = self._turn(self.positions_ART[:, row, stop:length], by)
            self.positions_ART[:, row, start:end] = self.positions_ART[:, row, stop:length] + by
            self.ends_RT[row, start:end] = self.ends_RT[row, stop:length] + by
        for layer in self.layers:
            assert isinstance(layer, StreamLayer)
            keys_BHTD, values_BHTD = layer.memory
            keys_HTD = keys_BHTD[row, :, stop:length].float()
            keys_BHTD[row, :, start:end] = (keys_HTD * cos + _half_turned(keys_HTD) * sin).to(keys_BHTD.dtype)
            values_BHTD[row, :, start:end] = values_BHTD[row, :, stop:length].clone()
        self.lengths[row] = end

    def _turn(self, positions_AT: Tensor, by: int) -> tuple[Tensor, Tensor]:
        """cos and sin (T, D) of what lies between the angles at these positions and at those `by` further on.

        An angle of a far position is itself rounded in float32. So the difference is taken of the very angles that
        the model takes, not of `by` alone.
        """
        frequencies = self.rotary.inv_freq.float()
        old_ATF, new_ATF = (
            at.to(frequencies.device).float()[..., None] * frequencies for at in (positions_AT, positions_AT + by)
        )
        angles_ATF = new_ATF.double() - old_ATF.double()
        if len(angles_ATF) == 1:
            angles_TD = angles_ATF[0].repeat(1, 2)
        else:  # which coordinate each frequency turns by
            angles_TD = self.rotary.recomposition_frequencies(angles_ATF)
        return angles_TD.cos().float(), angles_TD.sin().float()


class StreamLayer(CacheLayerMixin):
    def __init__(self, owner: StreamCache):
        super().__init__()
        self.owner = owner

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        shape = (len(self.owner.lengths), key_states.shape[1], self.owner.room, key_states.shape[3])
        self.keys, self.values = key_states.new_zeros(shape), value_states.new_zeros(shape)
        self.is_initialized = True

    @property
    def memory(self) -> tuple[Tensor, Tensor]:
        assert self.keys is not None
        assert self.values is not None
        return self.keys, self.values

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows, stop = self.owner.rows, self.owner.filled
        for memory_BHTD, states_BHQD in zip(self.memory, (key_states, value_states), strict=True):
            if len(rows) == 1:
                memory_BHTD[rows[0], :, self.owner.lengths[rows[0]] : stop] = states_BHQD[0]
            else:
                assert self.owner.places is not None
                places, columns, positions = self.owner.places
                memory_BHTD[places, :, positions] = states_BHQD[places, :, columns]
        keys_BHTD, values_BHTD = (memory_BHTD[rows[0] : rows[-1] + 1, :, :stop] for memory_BHTD in self.memory)
        return keys_BHTD, values_BHTD

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.owner.filled, 0

    def get_seq_length(self) -> int:
        return self.owner.lengths[self.owner.rows[0]]

    def get_max_length(self) -> int:
        return self.owner.room


def _half_turned(x_HTD: Tensor) -> Tensor:
    first, second = x_HTD.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)
