"""Built-in conversations before the drawn elements, in every published shape: one picture, two, or words alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Literal

from prospect.data.cache import kept_splits
from prospect.data.chats.dataset import chats
from prospect.data.dataset import Dataset
from prospect.data.element.pictures import picture
from prospect.data.element.rows import ELEMENTS
from prospect.data.png import png

GENERATOR = 1  # raise it with every change of what is drawn or written: old caches are then left alone
NUMBERS = ("first", "second", "third")


def chats_demo(
    folder: str | None = None,
    train: int = 1000,
    val: int = 100,
    test: int = 200,
    size: int = 64,
    on_bad: Literal["fail", "skip"] = "fail",
    blank_images: bool = False,
    seed: int = 0,
) -> Dataset:
    """Draws the pictures on the first call (into a cache folder unless `folder` is given), then is `chats`."""
    counts = {"train": train, "val": val, "test": test}
    made = kept_splits("chats_demo", folder, write, GENERATOR, counts, size, seed, smallest=16)
    data = chats(str(made), val_share=0, test_share=0, on_bad=on_bad, blank_images=blank_images)
    return replace(data, name="chats_demo")


def write(folder: Path, counts: Mapping[str, int], size: int, seed: int) -> None:
    """`images/` and one file of JSON lines a split."""
    (folder / "images").mkdir()
    for split, count in counts.items():
        lines = [json.dumps(_row(folder, split, index, size, seed)) + "\n" for index in range(count)]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")


def _row(folder: Path, split: str, index: int, size: int, seed: int) -> dict[str, Any]:
    """The shapes take turns."""
    rng = Random(f"{seed} {split} {index}")
    kind = SHAPES[index % len(SHAPES)]
    labels = [rng.choice(ELEMENTS) for _ in range(PICTURES[kind])]
    images = [f"images/{split}_{index:05d}_{number}.png" for number in range(len(labels))]
    for name, label in zip(images, labels, strict=True):
        (folder / name).write_bytes(png(picture(label, rng, "natural", size)))
    return _written(kind, labels, images, rng)


SHAPES = ("texts", "conversations", "messages", "completion", "words")
PICTURES = {"texts": 1, "conversations": 1, "messages": 2, "completion": 1, "words": 0}
ASK = "Which element?"


def _written(kind: str, labels: list[str], images: list[str], rng: Random) -> dict[str, Any]:
    if kind == "texts":
        again = {"user": "Say it again.", "assistant": labels[0]}
        return {"images": images, "texts": [{"user": ASK, "assistant": labels[0]}, again]}
    if kind == "conversations":
        turns = [{"from": "human", "value": f"<image>\n{ASK}"}, {"from": "gpt", "value": labels[0]}]
        return {"image": images[0], "conversations": turns}
    if kind == "messages":
        number = rng.randrange(len(labels))
        asked = [*({"type": "image"} for _ in labels), {"type": "text", "text": f"The {NUMBERS[number]}?"}]
        return {"images": images, "messages": [_said("user", asked), _said("assistant", labels[number])]}
    if kind == "completion":
        return {"images": images, "prompt": ASK, "completion": labels[0]}
    words = [rng.choice(ELEMENTS) for _ in NUMBERS]  # a question that is answered by its own words
    number = rng.randrange(len(words))
    asked_ = f"{', '.join(words)}: the {NUMBERS[number]}?"
    return {"messages": [_said("user", asked_), _said("assistant", words[number])]}


def _said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}
