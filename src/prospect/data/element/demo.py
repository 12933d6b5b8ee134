"""A built-in twin of the element data: drawn pictures, written as a folder in the published shape, then read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Literal

from prospect.data.cache import at_least, kept
from prospect.data.dataset import Dataset
from prospect.data.element.dataset import QUESTION, element
from prospect.data.element.palettes import PALETTES
from prospect.data.element.pictures import picture
from prospect.data.element.rows import ELEMENTS
from prospect.data.png import png
from prospect.errors import UserError

GENERATOR = 1  # raise it with every change of what is drawn or written: old caches are then left alone
LEAKY = 0.89  # share of the published reasons that contain their label

REASONS = {  # element -> (reasons that name it, reasons that do not)
    "water": (
        ("Water ripples in {tone} tones", "Waves of {tone} water fill the scene"),
        ("Waves roll in {tone} tones",),
    ),
    "land": (("Land rises in {tone} hills", "Open land with {tone} slopes"), ("Hills roll in {tone} tones",)),
    "fire": (("Fire burns in {tone} tones", "Tongues of {tone} fire reach up"), ("Flames rise in {tone} tones",)),
    "wood": (("Wood grain runs through {tone} boards", "Boards of {tone} wood"), ("Grain and knots in {tone} tones",)),
    "metal": (("Metal shines in {tone} tones", "A {tone} metal part"), ("Teeth and rivets in {tone} tones",)),
}


def element_demo(
    folder: str | None = None,
    train: int = 1000,
    val: int = 100,
    test: int = 200,
    palette: Literal["natural", "shifted"] = "natural",
    size: int = 64,
    seed: int = 0,
    context: bool = False,
    balanced: bool = False,
    answers: Literal["label", "descriptive"] = "label",
    on_bad: Literal["fail", "skip"] = "fail",
    blank_images: bool = False,
    question: str = QUESTION,
) -> Dataset:
    """Draws the pictures on the first call (into a cache folder unless `folder` is given), then is `element`."""
    settings = {"train": train, "val": val, "test": test, "palette": palette, "size": size, "seed": seed}
    _check(settings)
    settings["generator"] = GENERATOR
    draw = partial(write, counts={"train": train, "val": val, "test": test}, palette=palette, size=size, seed=seed)
    made = kept("element_demo", folder, settings, draw)
    data = element(str(made), context, balanced, answers, on_bad, blank_images, question=question)
    return replace(data, name="element_demo")


def _check(settings: Mapping[str, int | str]) -> None:
    if settings["palette"] not in PALETTES:
        raise UserError(f"data.palette={settings['palette']}: accepted are {', '.join(PALETTES)}")
    at_least(settings, train=0, val=0, test=0, size=16)


def write(folder: Path, counts: dict[str, int], palette: str, size: int, seed: int) -> None:
    """A folder as element data is published: `images/` and one file of JSON lines a split."""
    (folder / "images").mkdir()
    for split, count in counts.items():
        lines = [json.dumps(_row(folder, split, index, palette, size, seed)) + "\n" for index in range(count)]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")


def _row(folder: Path, split: str, index: int, palette: str, size: int, seed: int) -> dict[str, str | float]:
    """Labels go round, so that any first n samples are balanced; a longer split begins with the shorter one."""
    label, rng = ELEMENTS[index % len(ELEMENTS)], Random(f"{seed} {split} {index}")
    name = f"{split}_{index:05d}"
    (folder / "images" / f"{name}.png").write_bytes(png(picture(label, rng, palette, size)))
    return {
        "image_id": name,
        "image_path": f"images/{name}.png",
        "element": label,
        "reason": _reason(label, palette, rng),
        "confidence": round(rng.uniform(0.7, 0.99), 2),
    }


def _reason(label: str, palette: str, rng: Random) -> str:
    naming, silent = REASONS[label]
    return rng.choice(naming if rng.random() < LEAKY else silent).format(tone=PALETTES[palette][label][0].name)
