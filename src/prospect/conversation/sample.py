"""What a dataset hands over: a conversation with its pictures or frames, still as words and references."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from PIL import Image

from prospect.conversation.dst import State, Transition
from prospect.errors import UserError

Role = Literal["system", "user", "assistant", "frames", "dst"]
BLANK_GREY = 96  # not mid-grey: SmolVLM takes an image whose normalised pixels are all 0 for padding and drops it


@dataclass(frozen=True)
class Picture:
    """A reference to one image, opened late, in the worker that needs it. `blank` replaces its pixels, not its size.

    One with an edge longer than `edge` is scaled down to it, in its proportions; none is ever scaled up.
    """

    source: Path | bytes | Image.Image
    blank: bool = False
    edge: int | None = None

    def open(self) -> Image.Image:
        with self._file() as picture:
            if self.blank:
                return Image.new("RGB", self._fitted(picture.size), (BLANK_GREY,) * 3)
            try:
                whole = picture.convert("RGB")
            except (OSError, SyntaxError) as error:  # a truncated file shows only when it is decoded
                raise UserError(f"picture {self.name} is damaged: {error}") from error
        size = self._fitted(whole.size)
        return whole if size == whole.size else whole.resize(size, Image.Resampling.LANCZOS)

    def size(self) -> tuple[int, int]:
        """(width, height), read from the header alone where there is a file."""
        with self._file() as picture:
            return self._fitted(picture.size)

    def _fitted(self, size: tuple[int, int]) -> tuple[int, int]:
        longest = max(size)
        if self.edge is None or longest <= self.edge:
            return size
        width, height = (max(1, round(side * self.edge / longest)) for side in size)
        return width, height

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


class FrameSource(Protocol):
    """The frames of one video."""

    def decoded(self, start: int, stop: int) -> Iterator[Image.Image]: ...


class FeatureSource(Protocol):
    """What a frozen vision tower made of the frames of one video: (frames, tokens a frame, floats)."""

    def features(self, start: int, stop: int) -> np.ndarray: ...


@dataclass(frozen=True)
class Frames:
    """A reference to the frames from `start` to before `stop` of a video, opened late. `blank` replaces their pixels.

    With `features` the tower's work is read instead of being done again, and no `store` is needed.
    """

    start: int
    stop: int
    store: FrameSource | None = None
    features: FeatureSource | None = None
    fps: float = 2.0
    blank: bool = False

    def __len__(self) -> int:
        return self.stop - self.start

    def pictures(self) -> Iterator[Image.Image]:
        assert self.store is not None, "a clip with features alone has no pictures"
        for picture in self.store.decoded(self.start, self.stop):
            yield Image.new("RGB", picture.size, (BLANK_GREY,) * 3) if self.blank else picture

    def part(self, start: int, stop: int) -> Frames:
        """Some of these frames, by their number in the video."""
        assert self.start <= start <= stop <= self.stop
        return replace(self, start=start, stop=stop)


Part = str | Picture | Frames | Transition


@dataclass(frozen=True)
class Turn:
    """One message, or what was seen and what changed between two of them.

    `parts` are texts and pictures in the order in which they were written, of a turn `frames` one span of frames, of a
    turn `dst` its transitions. `kind` says what kind of event a turn is, for rates by kind of event.
    """

    role: Role
    parts: tuple[Part, ...]
    learn: bool = True  # False is context: read, never supervised, and no decision is learnt at its frames
    kind: str = ""

    @property
    def text(self) -> str:
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(part for part in self.parts if isinstance(part, Picture))

    @property
    def transitions(self) -> tuple[Transition, ...]:
        return tuple(part for part in self.parts if isinstance(part, Transition))

    @property
    def frames(self) -> Frames:
        (frames,) = self.parts
        assert isinstance(frames, Frames)
        return frames


@dataclass(frozen=True)
class Step:
    id: str
    name: str


@dataclass(frozen=True)
class Task:
    """What is being done in a stream: its goal, its steps, and what each step is at when the sample begins.

    `tell_state=False` keeps that state out of the prompt: what was done before must then be seen in the frames.
    """

    goal: str
    steps: tuple[Step, ...]
    state: State
    tell_state: bool = True


@dataclass(frozen=True)
class Sample:
    """One training or evaluation sample. `id` is unique in its split: data randomness and error messages use it.

    A sample with turns `frames` is a stream. What a user says stands before the first frame that can answer it; the
    transitions (one turn `dst`) and then the utterance of a frame stand behind it, and that frame ends its span.
    """

    id: str
    turns: tuple[Turn, ...]
    meta: dict[str, Any] = field(default_factory=dict)
    task: Task | None = None

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(picture for turn in self.turns for picture in turn.pictures)

    @property
    def frames(self) -> tuple[Frames, ...]:
        return tuple(turn.frames for turn in self.turns if turn.role == "frames")
