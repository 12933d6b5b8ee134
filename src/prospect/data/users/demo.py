"""Built-in users: what everybody calls the buttons of a window, and what only each of them does.

The window lies anywhere on the screen and its four buttons bear no words: which of them is `start` has to be learnt,
from any users. What a user means by `star` differs from user to user, so a model of all users can only guess, and one
that was adapted to that user knows. Where the window lies tells the picture alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np

from prospect.data.cache import at_least, kept
from prospect.data.dataset import Dataset
from prospect.data.png import indexed_png
from prospect.data.users.dataset import users
from prospect.data.users.ranges import Users, assigned
from prospect.data.users.screens import WINDOWS, point, screen
from prospect.errors import UserError

GENERATOR = 1  # raise it with every change of what is drawn or written: old caches are then left alone
SYSTEM = "Answer with the point."
ACTIONS = ("start", "stop", "add", "hold")  # what everybody calls the buttons, in their order
WORDS = ("star", "heart", "ring", "drop")  # what users call them too, each in an order of their own
RADIUS = 100.0  # neighbouring buttons are 240 apart
QUESTIONS = 2  # in a conversation, each before a screen of its own: an answer would give away where the window lies


def users_demo(
    folder: str | None = None,
    samples: int = 40,
    own: float = 0.5,
    size: int = 64,
    users: Users | None = None,
    train_users: Users | None = "11-73",
    val_users: Users | None = "74-83",
    test_users: Users | None = "1-10",
    person: int | None = None,
    folds: int = 5,
    fold: int = 0,
    radius: float = RADIUS,
    on_bad: Literal["fail", "skip"] = "fail",
    blank_images: bool = False,
    seed: int = 0,
) -> Dataset:
    """Draws the screens on the first call (into a cache folder unless `folder` is given), then is `users`."""
    drawn = sorted(assigned({"train": train_users, "val": val_users, "test": test_users}))
    settings = {"users": drawn, "samples": samples, "own": own, "size": size, "seed": seed}
    _check(settings)
    settings["generator"] = GENERATOR
    draw = partial(write, numbers=drawn, samples=samples, own=own, size=size, seed=seed)
    made = kept("users_demo", folder, settings, draw)
    data = _read(
        str(made),
        users,
        train_users,
        val_users,
        test_users,
        person,
        folds,
        fold,
        radius,
        on_bad,
        blank_images,
    )
    return replace(data, name="users_demo")


_read = users  # the parameter of the same name hides it


def _check(settings: Mapping[str, Any]) -> None:
    at_least(settings, samples=1, size=16)
    if not 0 <= settings["own"] <= 1:
        raise UserError(f"data.own={settings['own']}: a share between 0 and 1")


def write(folder: Path, numbers: list[int], samples: int, own: float, size: int, seed: int) -> None:
    """`user_7.jsonl` for every user, and their screens below `images/`."""
    (folder / "images").mkdir()
    for user in numbers:
        lines = [json.dumps(_row(folder, user, index, own, size, seed)) + "\n" for index in range(samples)]
        (folder / f"user_{user}.jsonl").write_text("".join(lines), encoding="utf-8")


def _row(folder: Path, user: int, index: int, own: float, size: int, seed: int) -> dict[str, Any]:
    rng = Random(f"{seed} {user} {index}")
    messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}]
    images = [f"images/{user}_{index:04d}_{number}.png" for number in range(QUESTIONS)]
    for name in images:
        window = rng.randrange(len(WINDOWS))
        (folder / name).write_bytes(indexed_png(np.asarray(screen(window, rng, size))))
        kind = "own" if rng.random() < own else "shared"
        button = rng.randrange(len(ACTIONS))
        word = speech(user, seed)[button] if kind == "own" else ACTIONS[button]
        x, y = point(window, button)
        messages += [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": word}], "kind": kind},
            {"role": "assistant", "content": f"({x}, {y})", "kind": kind},
        ]
    return {"messages": messages, "images": images}


def speech(user: int, seed: int) -> list[str]:
    """The user's own words for the buttons, in their order."""
    return Random(f"{seed} speech of {user}").sample(WORDS, len(WORDS))
