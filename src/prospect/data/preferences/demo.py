"""Built-in pairs of answers to drawn elements: one is right for the picture, the other one for another picture.

Every two elements meet both ways round, so that nothing but the picture tells which answer is preferred.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Literal

from prospect.data.cache import kept_splits
from prospect.data.dataset import Dataset
from prospect.data.element.pictures import picture
from prospect.data.element.rows import ELEMENTS
from prospect.data.png import png
from prospect.data.preferences.dataset import preferences

GENERATOR = 1  # raise it with every change of what is drawn or written: old caches are then left alone
NUMBERS = ("first", "second")


def preferences_demo(
    folder: str | None = None,
    train: int = 1000,
    val: int = 100,
    test: int = 200,
    size: int = 64,
    on_bad: Literal["fail", "skip"] = "fail",
    blank_images: bool = False,
    seed: int = 0,
) -> Dataset:
    """Draws the pictures on the first call (into a cache folder unless `folder` is given), then is `preferences`."""
    counts = {"train": train, "val": val, "test": test}
    made = kept_splits("preferences_demo", folder, write, GENERATOR, counts, size, seed, smallest=16)
    data = preferences(str(made), val_share=0, test_share=0, on_bad=on_bad, blank_images=blank_images)
    return replace(data, name="preferences_demo")


def write(folder: Path, counts: Mapping[str, int], size: int, seed: int) -> None:
    """`images/` and one file of JSON lines a split."""
    (folder / "images").mkdir()
    for split, count in counts.items():
        lines = [json.dumps(_row(folder, split, index, size, seed)) + "\n" for index in range(count)]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")


def _row(folder: Path, split: str, index: int, size: int, seed: int) -> dict[str, Any]:
    """Two rows have the same two elements, the second one the other way round. The shapes take turns."""
    right, wrong = Random(f"{seed} {split} {index // 2}").sample(ELEMENTS, 2)
    if index % 2:
        right, wrong = wrong, right
    rng, kind = Random(f"{seed} {split} {index} drawn"), SHAPES[index // 2 % len(SHAPES)]
    number = rng.randrange(2)
    shown = [right] if kind != "two" else [wrong, right] if number else [right, wrong]
    images = [f"images/{split}_{index:05d}_{place}.png" for place in range(len(shown))]
    for name, element in zip(images, shown, strict=True):
        (folder / name).write_bytes(png(picture(element, rng, "natural", size)))
    return _written(kind, right, wrong, images, number)


SHAPES = ("plain", "messages", "whole", "two")
ASK = "Which element?"


def _written(kind: str, right: str, wrong: str, images: list[str], number: int) -> dict[str, Any]:
    if kind == "plain":
        return {"image": images[0], "prompt": ASK, "chosen": right, "rejected": wrong}
    if kind == "two":  # both answers are right for one of the pictures
        asked = f"The {NUMBERS[number]}?"
        return {"images": images, "question": asked, "chosen_answer": right, "rejected_answer": wrong}
    prompt = [_said("user", [{"type": "image"}, {"type": "text", "text": ASK}])]
    won, lost = [_said("assistant", right)], [_said("assistant", wrong)]
    if kind == "messages":
        return {"images": images, "prompt": prompt, "chosen": won, "rejected": lost}
    return {"images": images, "chosen": prompt + won, "rejected": prompt + lost}


def _said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}
