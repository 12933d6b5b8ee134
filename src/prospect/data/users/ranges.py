"""Users by their numbers: `1-10`, `7`, `[1-3, 7]`, and which split each of them is in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from prospect.errors import UserError

Users = str | int | list[str | int]  # as YAML and the command line spell them


def users_of(spelt: Users | None, key: str) -> frozenset[int]:
    """The numbers that are meant; `key` is named where they cannot be read."""
    pieces = spelt if isinstance(spelt, list) else [] if spelt is None else str(spelt).split(",")
    found: set[int] = set()
    for piece in pieces:
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", str(piece))
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise UserError(f"{key}={spelt}: {piece!r} is no user and no range of users; spell them 7, 1-10 or [1-3,7]")
        found |= set(range(first, last + 1))
    return frozenset(found)


def told(users: Iterable[int]) -> str:
    """`1-10, 12`: the shortest spelling."""
    runs: list[list[int]] = []
    for user in sorted(users):
        if runs and user == runs[-1][1] + 1:
            runs[-1][1] = user
        else:
            runs.append([user, user])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs) or "none"


def assigned(ranges: Mapping[str, Users | None]) -> dict[int, str]:
    """The split of every user, by the ranges of the splits. No user may be in two of them."""
    split_of: dict[int, str] = {}
    for split, spelt in ranges.items():
        users = users_of(spelt, f"data.{split}_users")
        for other in dict.fromkeys(split_of[user] for user in users if user in split_of):
            twice = told(user for user in users if split_of.get(user) == other)
            raise UserError(
                f"data.{split}_users={spelt}: user {twice} is in data.{other}_users too; nobody may be in two splits"
            )
        split_of |= dict.fromkeys(users, split)
    return split_of
