"""What a dataset hands over: a conversation with its pictures, still as words and references."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from prospect.errors import UserError

Role = Literal["system", "user", "assistant"]
BLANK_GREY = 96  # not mid-grey: SmolVLM takes an image whose normalised pixels are all 0 for padding and drops it


@dataclass(frozen=True)
class Picture:
    """A reference to one image, opened late, in the worker that needs it. `blank` replaces its pixels, not its size."""

    source: Path | bytes | Image.Image
    blank: bool = False

    def open(self) -> Image.Image:
        with self._file() as picture:
            if self.blank:
                return Image.new("RGB", picture.size, (BLANK_GREY,) * 3)
            try:
                return picture.convert("RGB")
            except (OSError, SyntaxError) as error:  # a truncated file shows only when it is decoded
                raise UserError(f"picture {self.name} is damaged: {error}") from error

    def size(self) -> tuple[int, int]:
        """(width, height), read from the header alone where there is a file."""
        with self._file() as picture:
            return picture.size

    @contextmanager
    def _file(self) -> Iterator[Image.Image]:
        if isinstance(self.source, Image.Image):
            yield self.source
            return
        try:
            picture = Image.open(io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source)
        except OSError as error:
            raise UserError(f"picture {self.name} cannot be read: {error}") from error
        with picture:
            yield picture

    @property
    def name(self) -> str:
        return str(self.source) if isinstance(self.source, Path) else "(in memory)"


Part = str | Picture


@dataclass(frozen=True)
class Turn:
    """One message. `parts` are texts and pictures in the order in which they were written."""

    role: Role
    parts: tuple[Part, ...]
    learn: bool = True  # an assistant turn with learn=False is context: read, never supervised

    @property
    def text(self) -> str:
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(part for part in self.parts if isinstance(part, Picture))


@dataclass(frozen=True)
class Sample:
    """One training or evaluation sample. `id` is unique in its split: data randomness and error messages use it."""

    id: str
    turns: tuple[Turn, ...]
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(picture for turn in self.turns for picture in turn.pictures)
