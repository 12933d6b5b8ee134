"""Which sample comes when: the whole run laid out beforehand as one sequence.

The order is a function of (seed, epoch) alone. So it is the same for any number of workers, ranks and resumes, and
batch 4, batch 1 × accumulation 4 and two ranks × 2 see the same samples in the same optimizer step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from prospect.training.collate import Item


class Schedule(Dataset[Item]):
    """`length` draws from the items, epoch after epoch."""

    def __init__(self, items: Sequence[Item], length: int, seed: int, balanced: bool = False):
        self.items = items
        self.length = length
        self.seed = seed
        self.groups = _by_label(items) if balanced else None
        self._epoch: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Item:
        epoch, position = divmod(index, len(self.items))
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = (epoch, self.order(epoch))
        return self.items[self._epoch[1][position]]

    def order(self, epoch: int) -> np.ndarray:
        """The samples of one epoch, as indices: each once, or every class equally often when balanced."""
        random = np.random.default_rng([self.seed, epoch])
        if self.groups is None:
            return random.permutation(len(self.items))
        share = -(-len(self.items) // len(self.groups))
        drawn = [_repeated(group, share, random) for group in self.groups]
        return random.permutation(np.concatenate(drawn))[: len(self.items)]


def _repeated(group: np.ndarray, share: int, random: np.random.Generator) -> np.ndarray:
    """`share` members of a group, each as often as any other but for one."""
    rounds = [random.permutation(group) for _ in range(-(-share // len(group)))]
    return np.concatenate(rounds)[:share]


def _by_label(items: Sequence[Item]) -> list[np.ndarray]:
    groups: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        groups[item.sample.meta["label"]].append(index)
    return [np.array(groups[label]) for label in sorted(groups)]
