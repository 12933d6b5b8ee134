"""Conversations before pictures of one shade each, written in any of the published shapes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image


def picture(folder: Path, shade: int) -> str:
    name = f"{shade}.png"
    (folder / name).write_bytes(png(shade))
    return name


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), (shade, 3, 7)).save(file, "PNG")
    return file.getvalue()


def lines(file: Path, rows: list[Any]) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return file


def asked(question: Any = "what?", answer: Any = "fire", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}], **more}


def words(count: int, **more: Any) -> list[dict[str, Any]]:
    """Rows of words alone, each with a question of its own."""
    return [asked(f"number {n}?", f"it is {n}", **more) for n in range(count)]
