"""What a frozen tower makes of a data set's frames, made once: `python -m prospect.data.encode model=… data=… out=…`.

Feature stores have the names of the frame stores and the same numbers of frames. This room knows no models: the tower
is handed in as a function, by `encode.py` beside `train.py`, which composes its command line as `train.py` does.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from prospect.data.dataset import Dataset
from prospect.data.frames import FeatureStore, FrameStore, content_digest, verify, write_features
from prospect.data.store_files import manifest_of
from prospect.errors import UserError

MADE_BY = ("tower", "arithmetic", "dtype")  # stores that differ in these cannot be in one folder


@dataclass(frozen=True)
class Tower:
    """Pictures in, (pictures, tokens, floats) out. `facts` go into every store; those of MADE_BY are among them."""

    encode: Callable[[Sequence[Image.Image]], np.ndarray]
    facts: dict[str, Any]


@dataclass(frozen=True)
class Video:
    store: FrameStore
    name: str  # of frames and features alike, each under a folder of its own
    fps: float

    @property
    def facts(self) -> dict[str, Any]:
        path = self.store.path
        return {
            "fps": self.fps,
            "video_uid": self.store.meta.get("video_uid", path.stem),
            "source": content_digest(path),
        }


def videos(data: Dataset) -> list[Video]:
    """Every video that a clip of the data set names, of all splits and phases, the longest first."""
    found: dict[Path, Video] = {}
    for span in data.streams:
        if span.blank:
            raise UserError("data.blank_images=true: features are made of the true frames; leave it out")
        if not isinstance(span.store, FrameStore):
            raise UserError(
                f"{data.name} has clips without a frame store: features are made of frames (data.frame_root)"
            )
        if span.store.path not in found:
            found[span.store.path] = Video(span.store, _name(span.store.path, data.frame_root), span.fps)
    if not found:
        raise UserError(f"{data.name} has no videos whose frames could be encoded: choose data of streams")
    return sorted(found.values(), key=lambda video: (-len(video.store), video.name))


def share(whole: Sequence[Video], rank: int, ranks: int) -> Sequence[Video]:
    """A rank's videos. From the longest on, each goes to the rank with the fewest frames so far."""
    hands: list[list[Video]] = [[] for _ in range(ranks)]
    frames = [0] * ranks
    for video in whole:
        least = frames.index(min(frames))
        hands[least].append(video)
        frames[least] += len(video.store)
    return hands[rank]


def write(mine: Sequence[Video], out: Path, tower: Tower, batch: int, console: Console | None = None) -> int:
    """Writes the stores that are not there yet, each whole or not at all; how many.

    A store counts as there when it is of this tower and of the video as it is, and every bit is as it was written.
    One command at a time may write to a folder.
    """
    for video in mine:  # all of them before the first hour of work
        _refuse_other(out / video.name, tower.facts)
    written, console = 0, console or Console()
    with _bar(console) as bar:
        task = bar.add_task("", total=sum(len(video.store) for video in mine))
        for number, video in enumerate(mine, 1):
            bar.update(task, description=video.name)
            reason = why(out / video.name, video)
            if reason:
                store(out / video.name, video, tower, batch, lambda frames: bar.advance(task, frames))
                written += 1
            else:
                bar.advance(task, len(video.store))
            if not console.is_terminal:
                told = f"{number}/{len(mine)}  {video.name}  {len(video.store)} frames, {reason or 'there already'}"
                print(told, flush=True)
    return written


def why(target: Path, video: Video) -> str | None:
    """Why a store has to be written; None when it is there and whole."""
    if not target.exists():
        return "new"
    if verify(target):
        return "damaged or unfinished: again"
    if FeatureStore(target).meta["source"] != content_digest(video.store.path):
        return "the video has changed: again"
    return None


def store(
    target: Path, video: Video, tower: Tower, batch: int, seen: Callable[[int], object] = lambda frames: None
) -> None:
    """One video's features. What a killed command left of them is removed."""
    source = video.store.path
    if manifest_of(source).is_file() and (wrong := verify(source)):
        raise UserError(f"{wrong[0]}: write it again before features are made of it")
    for half in target.parent.glob(f".{target.name}.*"):
        half.unlink(missing_ok=True)
    write_features(target, _features(video, tower, batch, seen), {**tower.facts, **video.facts})


def _features(video: Video, tower: Tower, batch: int, seen: Callable[[int], object]) -> Iterator[np.ndarray]:
    pictures, row = video.store.decoded(0, len(video.store)), 0
    while some := list(islice(pictures, batch)):
        made_NID = tower.encode(some)
        if not (finite := np.isfinite(made_NID).all(axis=(1, 2))).all():
            frame = row + int(finite.argmin())
            raise UserError(f"frame {frame} of {video.store.path}: its features are no numbers; try dtype=float32")
        yield from made_NID
        row += len(some)
        seen(len(some))


def _refuse_other(target: Path, facts: dict[str, Any]) -> None:
    """Hours of another tower's work, or a video, must not be written over by a slip."""
    if not target.exists():
        return
    try:
        found = FeatureStore(target).meta
    except UserError:
        if not manifest_of(target).is_file():
            raise
        return  # one of ours, damaged
    differing = [name for name in MADE_BY if found.get(name) != facts[name]]
    if not differing or (manifest_of(target).is_file() and verify(target)):
        return  # this tower's, or a damaged one
    if "tower" not in found:
        raise UserError(f"out: {target} is there and holds no features of this command: name another folder")
    told = ", ".join(f"{name} {found.get(name)} instead of {facts[name]}" for name in differing)
    raise UserError(f"out: {target} was made by another tower or with other settings ({told}): name another folder")


def _name(path: Path, root: Path | None) -> str:
    assert root is not None, "data of streams say where the names of their stores start"
    if not path.is_relative_to(root) or ".." in path.relative_to(root).parts:
        raise UserError(f"{path} lies outside of {root}: set data.frame_root to a folder above all frame stores")
    return path.relative_to(root).as_posix()


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)


def main() -> int:
    """Rooms import downwards only, so what puts model and data together is not imported: it is run."""
    script = Path(__file__).parents[3] / "encode.py"
    if not script.is_file():
        print(f"{script} is missing: the command runs from a checkout, beside conf/", file=sys.stderr)
        return 2
    runpy.run_path(str(script), run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
