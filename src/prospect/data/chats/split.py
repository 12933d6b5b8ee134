"""Rows to val and test where these are not held out by name: whatever shares a picture or a group stays together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from prospect.data.chats.audit import Row, keys
from prospect.data.splits import SPLITS, place_of, split_of
from prospect.data.users.audit import Digests
from prospect.data.users.folds import connected

Group = list[int]  # places of its rows


def drawn(rows: Sequence[Row], digests: Digests, seed: int, val_share: float, test_share: float) -> list[Row]:
    """Train rows by a hash of what their group shows: more data moves no old row, unless it ties two groups together.

    In small data a share may by chance come to nothing: each split that should have some has one group at least, as
    long as train keeps one.
    """
    there = {row.split for row in rows}
    val_share, test_share = (0.0 if n in there else share for n, share in (("val", val_share), ("test", test_share)))
    free, fixed = ([row for row in rows if (row.split in ("val", "test")) == held] for held in (False, True))
    return [*_drawn(free, digests, seed, val_share, test_share), *fixed]


def _drawn(rows: Sequence[Row], digests: Digests, seed: int, val_share: float, test_share: float) -> list[Row]:
    shown = [keys(row, digests) or {f"words {_asked(row)}"} for row in rows]
    groups = {min(min(shown[place]) for place in group): group for group in connected(shown)}
    split = {key: split_of(key, seed, val_share, test_share) for key in groups}
    for name in ("train", *(name for name, share in (("test", test_share), ("val", val_share)) if share > 0)):
        if name not in split.values():
            _fill(name, split, seed)
    chosen = {place: split[key] for key, group in groups.items() for place in group}
    return [replace(row, split=chosen[place]) for place, row in enumerate(rows)]


def _fill(name: str, split: dict[str, str], seed: int) -> None:
    """One group for an empty split, from the one that has most of them. Train is first, and gets the last one too."""
    groups = {other: [key for key, where in split.items() if where == other] for other in SPLITS}
    most = max(groups.values(), key=len)
    if len(most) > 1 or (most and name == "train"):
        split[min(most, key=lambda key: place_of(key, seed))] = name


def _asked(row: Row) -> str:
    """Of words alone the first question: whoever is asked the same stays on one side."""
    first = next(turn.text for turn in row.turns if turn.role == "user")
    return hashlib.sha256(first.encode()).hexdigest()
