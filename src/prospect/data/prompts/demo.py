"""Built-in prompts before drawn slides: one, two or none, each with the answer in a column that rewards see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Literal

from prospect.data.answer_format import Format
from prospect.data.cache import kept_splits
from prospect.data.dataset import Dataset
from prospect.data.path_vqa.demo import INSTRUCTIONS
from prospect.data.path_vqa.pictures import CELLS, STAINS, Slide, drawn, slide
from prospect.data.png import indexed_png
from prospect.data.prompts.dataset import prompts

GENERATOR = 2  # raise it with every change of what is drawn or written: old caches are then left alone
PLACES = ("first", "second", "third")
WORDS = 5  # of a prompt without pictures: so many that hardly any stands there twice
KINDS = {"one": 1, "two": 2, "words": 0}  # pictures of each kind of prompt


def prompts_demo(
    folder: str | None = None,
    train: int = 600,
    val: int = 60,
    test: int = 120,
    size: int = 64,
    resize: int | None = None,
    answer_format: Format = "think",
    instruction: str | None = None,
    on_bad: Literal["fail", "skip"] = "fail",
    blank_images: bool = False,
    seed: int = 0,
) -> Dataset:
    """Draws the slides on the first call (into a cache folder unless `folder` is given), then is `prompts`."""
    counts = {"train": train, "val": val, "test": test}
    made = kept_splits("prompts_demo", folder, write, GENERATOR, counts, size, seed, smallest=32)
    data = prompts(
        str(made),
        resize=resize,
        answer_format=answer_format,
        instruction=INSTRUCTIONS.get(answer_format) if instruction is None else instruction,
        val_share=0,
        test_share=0,
        on_bad=on_bad,
        blank_images=blank_images,
    )
    return replace(data, name="prompts_demo")


def write(folder: Path, counts: Mapping[str, int], size: int, seed: int) -> None:
    """`images/` and one file of JSON lines a split."""
    (folder / "images").mkdir()
    for split, count in counts.items():
        lines = [json.dumps(_row(folder, split, index, size, seed)) + "\n" for index in range(count)]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")


def _row(folder: Path, split: str, index: int, size: int, seed: int) -> dict[str, Any]:
    """The kinds take turns."""
    rng = Random(f"{seed} {split} {index}")
    kind = list(KINDS)[index % len(KINDS)]
    slides = [slide(rng) for _ in range(KINDS[kind])]
    images = [f"images/{split}_{index:05d}_{number}.png" for number in range(len(slides))]
    for name, shown in zip(images, slides, strict=True):
        (folder / name).write_bytes(indexed_png(drawn(shown, rng, size)))
    prompt, answers = _asked(slides, rng)
    return {"prompt": prompt, "images": images, "answer": answers[0], "answers": answers, "kind": kind}


def _asked(slides: list[Slide], rng: Random) -> tuple[Any, list[str]]:
    """A text, or a message with the places of its pictures; and all right answers."""
    if not slides:  # answered by its own words
        words, number = rng.sample([*CELLS, *STAINS], WORDS), rng.randrange(len(PLACES))
        return f"{', '.join(words)}: the {PLACES[number]}?", [words[number]]
    if len(slides) == 1:
        return "What colour is a cell?", slides[0].colours
    number = rng.randrange(len(slides))
    parts = [*({"type": "image"} for _ in slides), {"type": "text", "text": f"What colour is the {PLACES[number]}?"}]
    return [{"role": "user", "content": parts}], [slides[number].stain]
