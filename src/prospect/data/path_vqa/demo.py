"""A built-in twin of Path-VQA: drawn slides and questions about them, written as JSON beside a folder of pictures.

What is asked can be told from the slide and not from the question: whoever does not look is right about one time in
two where the answer is yes or no, and one in three or four elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Literal

from prospect.data.answer_format import Format
from prospect.data.cache import kept_splits
from prospect.data.dataset import Dataset
from prospect.data.path_vqa.dataset import path_vqa
from prospect.data.path_vqa.pictures import Slide, drawn, slide
from prospect.data.png import indexed_png

GENERATOR = 2  # raise it with every change of what is drawn or written: old caches are then left alone
INSTRUCTIONS = {"think": "First the reason, then the answer.", "plain": ""}  # words that a tiny model has
THOUGHT = "look"
TOKENS = 64  # twice what a true answer takes


def path_vqa_demo(
    folder: str | None = None,
    train: int = 400,
    val: int = 40,
    test: int = 80,
    size: int = 64,
    resize: int | None = None,
    answer_format: Format = "think",
    instruction: str | None = None,
    on_bad: Literal["fail", "skip"] = "fail",
    blank_images: bool = False,
    seed: int = 0,
) -> Dataset:
    """Draws the slides on the first call (into a cache folder unless `folder` is given), then is `path_vqa`."""
    counts = {"train": train, "val": val, "test": test}
    made = kept_splits("path_vqa_demo", folder, write, GENERATOR, counts, size, seed, smallest=32)
    data = path_vqa(
        str(made),
        resize=resize,
        answer_format=answer_format,
        instruction=INSTRUCTIONS.get(answer_format) if instruction is None else instruction,
        thought=THOUGHT,
        answer_tokens=TOKENS,
        val_share=0,
        test_share=0,
        on_bad=on_bad,
        blank_images=blank_images,
    )
    return replace(data, name="path_vqa_demo")


def write(folder: Path, counts: Mapping[str, int], size: int, seed: int) -> None:
    """`images/` and one list of questions a split, as question JSON is published: pictures by name alone."""
    for split, count in counts.items():
        (folder / "images" / split).mkdir(parents=True)
        rows = [row for index in range(count) for row in _rows(folder, split, index, size, seed)]
        (folder / f"{split}.json").write_text(json.dumps(rows, indent=0), encoding="utf-8")


def _rows(folder: Path, split: str, index: int, size: int, seed: int) -> Iterator[dict[str, str]]:
    rng = Random(f"{seed} {split} {index}")
    shown, name = slide(rng), f"{split}_{index:04d}"
    (folder / "images" / split / f"{name}.png").write_bytes(indexed_png(drawn(shown, rng, size)))
    for question, answer in asked(shown):
        yield {"image": name, "question": question, "answer": answer}


def asked(shown: Slide) -> Iterator[tuple[str, str]]:
    """Questions with their answers: where there are two right ones the question stands there twice."""
    for colour in shown.colours:
        yield "What colour is a cell?", colour
    yield "What colour is the ground?", shown.stain
    yield "How many cells are there?", shown.count
    if shown.vessel:
        yield "Where is the vessel?", shown.vessel
    yield "Is there a vessel?", _yes(shown.vessel is not None)
    yield "Is there a nucleus?", _yes(shown.nucleus)


def _yes(true: bool) -> str:
    return "yes" if true else "no"
