"""Which samples come when: the micro-batches of the whole run, laid out beforehand.

The order is a function of (seed, phase, epoch) alone. So it is the same for any number of workers, ranks and resumes,
and batch 4, batch 1 × accumulation 4 and two ranks × 2 see the same samples in the same optimizer step.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from torch.utils.data import Dataset

from prospect.training.collate import Item

WINDOW = 256  # steps' worth of samples that are put together by length


@dataclass(frozen=True)
class Sizes:
    """How many samples make a micro-batch, and how many micro-batches (over all ranks) a step."""

    batch: int
    batches_a_step: int
    tokens: int | None = None  # instead of `batch`: as many samples as fit, padding included
    grouped: bool = False  # samples of like length together

    @property
    def step(self) -> int:
        return self.batch * self.batches_a_step


class Phase:
    """An endless sequence of micro-batches from one list of items."""

    def __init__(self, items: Sequence[Item], sizes: Sizes, seed: int, number: int = 0, balanced: bool = False):
        self.items = items
        self.sizes = sizes
        self.key = (seed, number)
        self.groups = _by_label(items) if balanced else None
        self._ends = [0]  # how many micro-batches there are up to the end of each window
        self._epoch = lru_cache(maxsize=2)(self.order)
        self._window = lru_cache(maxsize=2)(self.window)

    def __getitem__(self, index: int) -> list[Item]:
        while self._ends[-1] <= index:
            self._ends.append(self._ends[-1] + len(self._window(len(self._ends) - 1)))
        window = bisect_right(self._ends, index) - 1
        draws = self._window(window)[index - self._ends[window]]
        return [self.items[item]._replace(epoch=epoch) for epoch, item in draws]

    def window(self, number: int) -> list[list[tuple[int, int]]]:
        """The micro-batches of a stretch of the sequence, each a list of (epoch, item)."""
        sizes = self.sizes
        length = sizes.step * (WINDOW if sizes.grouped or sizes.tokens else 1)
        draws = [self._draw(index) for index in range(number * length, (number + 1) * length)]
        random = np.random.default_rng([*self.key, 1, number])
        if sizes.tokens:
            return _shuffled(self._cut_by_tokens(self._by_length(draws)), random)
        if sizes.grouped:
            draws = [draw for step in _shuffled(_cut(self._by_length(draws), sizes.step), random) for draw in step]
        return _cut(draws, sizes.batch)

    def order(self, epoch: int) -> np.ndarray:
        """The samples of one epoch, as indices: each once, or every class equally often when balanced."""
        random = np.random.default_rng([*self.key, 0, epoch])
        if self.groups is None:
            return random.permutation(len(self.items))
        share = -(-len(self.items) // len(self.groups))
        drawn = [_repeated(group, share, random) for group in self.groups]
        return random.permutation(np.concatenate(drawn))[: len(self.items)]

    def _draw(self, index: int) -> tuple[int, int]:
        epoch, position = divmod(index, len(self.items))
        return epoch, int(self._epoch(epoch)[position])

    def _by_length(self, draws: list[tuple[int, int]]) -> list[tuple[int, int]]:
        return sorted(draws, key=lambda draw: len(self.items[draw[1]].encoded))

    def _cut_by_tokens(self, draws: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
        """Draws come shortest first, so the newest one is what all others of its batch are padded to."""
        assert self.sizes.tokens is not None
        batches: list[list[tuple[int, int]]] = [[]]
        for draw in draws:
            if batches[-1] and len(self.items[draw[1]].encoded) * (len(batches[-1]) + 1) > self.sizes.tokens:
                batches.append([])
            batches[-1].append(draw)
        return batches


class Schedule(Dataset[list[Item]]):
    """Phases one after the other; each is given with the micro-batch at which it ends."""

    def __init__(self, phases: Sequence[tuple[Phase, int]]):
        self.phases = [phase for phase, _ in phases]
        self.ends = [end for _, end in phases]

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, index: int) -> list[Item]:
        number = bisect_right(self.ends, index)
        return self.phases[number][index - (self.ends[number - 1] if number else 0)]


def _cut(draws: list, size: int) -> list[list]:
    return [draws[start : start + size] for start in range(0, len(draws), size)]


def _shuffled(batches: list, random: np.random.Generator) -> list:
    return [batches[index] for index in random.permutation(len(batches))]


def _repeated(group: np.ndarray, share: int, random: np.random.Generator) -> np.ndarray:
    """`share` members of a group, each as often as any other but for one."""
    rounds = [random.permutation(group) for _ in range(-(-share // len(group)))]
    return np.concatenate(rounds)[:share]


def _by_label(items: Sequence[Item]) -> list[np.ndarray]:
    groups: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        groups[item.sample.meta["label"]].append(index)
    return [np.array(groups[label]) for label in sorted(groups)]
