"""A folder of element data that a test fills row by row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

LABELS = ("water", "land", "fire", "wood", "metal")


class Folder:
    """`dataset/images/*.png` and JSON lines beside them."""

    def __init__(self, parent: Path) -> None:
        self.path = parent / "dataset"
        (self.path / "images").mkdir(parents=True)

    def image(self, name: str, shade: int) -> Path:
        """A picture whose bytes are those of its shade."""
        file = self.path / "images" / f"{name}.png"
        Image.new("RGB", (24, 24), (shade % 256, shade // 256, 7)).save(file)
        return file

    def lines(self, file: str, rows: list) -> None:
        text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
        (self.path / file).write_text(text, encoding="utf-8")

    def sound(self, split: str, first: int, count: int = 5) -> list[dict]:
        """Faultless rich rows with pictures of their own, five labels in turn."""
        rows = [rich(f"{split}_{n}", LABELS[n % 5]) for n in range(first, first + count)]
        for row, shade in zip(rows, range(first, first + count), strict=True):
            self.image(row["image_id"], shade)
        return rows


def rich(name: str, label: str, reason: str = "", **more) -> dict:
    return {"image_id": name, "image_path": f"images/{name}.png", "element": label, "reason": reason} | more


def chat(image: str, label: str, question: str = "<image>\nWhich element?", keys: tuple = ("from", "value")) -> dict:
    who, what = keys
    human, gpt = ("human", "gpt") if who == "from" else ("user", "assistant")
    return {"image": image, "conversations": [{who: human, what: question}, {who: gpt, what: label}]}


@pytest.fixture
def folder(tmp_path) -> Folder:
    """Empty; `filled` has three sound splits."""
    return Folder(tmp_path)


@pytest.fixture
def filled(folder) -> Folder:
    for split, first in (("train", 0), ("val", 100), ("test", 200)):
        folder.lines(f"{split}.jsonl", folder.sound(split, first))
    return folder


@pytest.fixture
def rows():
    """The two row shapes as functions: rows.rich(…), rows.chat(…)."""

    class Rows:
        rich = staticmethod(rich)
        chat = staticmethod(chat)

    return Rows
