"""K folds of one user's samples: what adapts a model to that user, and what is held out to see whether it did."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence


def folds(keys: Sequence[Iterable[Hashable]], count: int, seed: int = 0) -> list[int]:
    """The fold of each sample, 0 to count - 1. `keys` are what it shows; samples that share any are never parted.

    Groups are dealt out, largest first and among equals by a hash of the seed, to the fold that has least: where no
    two samples share anything, folds differ by one sample at most.
    """
    dealt = [0] * count
    fold_of = [0] * len(keys)
    for group in sorted(connected(keys), key=lambda group: (-len(group), _draw(group[0], seed))):
        fold = min(range(count), key=lambda number: (dealt[number], number))
        dealt[fold] += len(group)
        for place in group:
            fold_of[place] = fold
    return fold_of


def connected(keys: Sequence[Iterable[Hashable]]) -> list[list[int]]:
    """Places of the samples that are connected by what they share."""
    leader = list(range(len(keys)))

    def lead(place: int) -> int:
        while leader[place] != place:
            leader[place] = place = leader[leader[place]]
        return place

    first: dict[Hashable, int] = {}
    for place, shown in enumerate(keys):
        for key in shown:
            leader[lead(place)] = lead(first.setdefault(key, place))
    groups: dict[int, list[int]] = defaultdict(list)
    for place in range(len(keys)):
        groups[lead(place)].append(place)
    return list(groups.values())


def _draw(place: int, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{place}".encode()).digest()


def roles(fold: int, count: int) -> list[str]:
    """What each fold is for when `fold` is held out: the next one validates, the others train."""
    named = ["train"] * count
    named[(fold + 1) % count], named[fold] = "val", "test"
    return named
