"""Which split a sample belongs to: a matter of its id alone, so that more data never moves an old sample."""

from __future__ import annotations

import hashlib

from prospect.errors import UserError

SPLITS = ("train", "val", "test")
ALIASES = {"train": "train", "val": "val", "validation": "val", "test": "test"}


def share_error(val_share: float, test_share: float) -> None:
    """Refuses shares that leave nothing to train on."""
    if val_share < 0 or test_share < 0 or val_share + test_share >= 1:
        raise UserError(
            f"data.val_share={val_share} and data.test_share={test_share}: each must be at least 0, "
            "and both together below 1, so that something is left to train on"
        )


def split_of(key: str, seed: int, val_share: float, test_share: float) -> str:
    """The split of everything that carries this key: the same on every machine, in every order of reading."""
    place = place_of(key, seed)
    if place < test_share:
        return "test"
    return "val" if place < test_share + val_share else "train"


def place_of(key: str, seed: int) -> float:
    """Between 0 and 1, evenly spread."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:8], "big") / 2**64
