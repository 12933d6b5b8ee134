"""The built-in assembly world as data: clip files and frame stores as real ones are, written once, then read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from prospect.data.assembly.clip import FPS, clip
from prospect.data.assembly.pictures import captioned, frames
from prospect.data.assembly.presets import DENSE, settings
from prospect.data.cache import at_least, kept
from prospect.data.clips.dataset import LONG_CLIP, assembly101_dst
from prospect.data.clips.files import LIST
from prospect.data.dataset import OVERLAP, Dataset
from prospect.data.frames import write_frames
from prospect.data.png import indexed_png
from prospect.errors import UserError

GENERATOR = 2  # raise it with every change of what is drawn or written: old caches are then left alone
CAPTIONS = "captions"
NAME = "assembly101_dst_demo"


def assembly101_dst_demo(
    folder: str | None = None,
    features: str | None = None,
    train: int = 200,
    val: int = 40,
    test: int = 60,
    preset: Literal["easy", "default", "hard", "long"] = "easy",
    seed: int = 0,
    captions: float = 0.12,
    captions_count: int = 2000,
    dense: float = 0.38,
    dense_count: int = 300,
    on_bad: Literal["fail", "skip"] = "fail",
    blank_images: bool = False,
    neg_frame_sampling_rate: float = 1.0,
    overlap: float = OVERLAP,
    tell_state: bool = True,
    user_types: list[str] | None = None,
) -> Dataset:
    """Draws the videos on the first call (into a cache folder unless `folder` is given), then is `assembly101_dst`.

    `captions` and `dense` are shares of a run's steps: single pictures with the names of their parts, then short clips
    full of events, before the clips of train.
    """
    counts = {"train": train, "val": val, "test": test, DENSE: dense_count, CAPTIONS: captions_count}
    _check(counts, preset, {CAPTIONS: captions, DENSE: dense})
    made_from = {**counts, "preset": preset, "seed": seed, "generator": GENERATOR}
    draw = partial(write, counts=counts, preset=preset, seed=seed)
    made = kept(NAME, folder, made_from, draw)
    warmup = {CAPTIONS: captions, DENSE: dense}
    data = assembly101_dst(
        str(made),
        features,
        on_bad=on_bad,
        blank_images=blank_images,
        neg_frame_sampling_rate=neg_frame_sampling_rate,
        overlap=overlap,
        tell_state=tell_state,
        user_types=user_types,
        warmup=warmup,
        long_clip=max(LONG_CLIP, settings(preset).frames[1]),
    )
    return replace(data, name=NAME)


def _check(counts: dict[str, int], preset: str, shares: dict[str, float]) -> None:
    settings(preset)
    at_least(counts, **dict.fromkeys(counts, 0))
    for key, share in shares.items():
        if share and not counts[key]:
            raise UserError(f"data.{key}={share}: there is nothing to spend these steps on; set data.{key}_count or 0")


def write(folder: Path, counts: dict[str, int], preset: str, seed: int) -> None:
    """A folder as clips are published: one file of clips a split, one store a video."""
    (folder / "frames").mkdir()
    for split, count in counts.items():
        clips = (
            _captions(folder, count, preset, seed) if split == CAPTIONS else _clips(folder, split, count, preset, seed)
        )
        (folder / f"{split}{LIST}").write_text(json.dumps(list(clips)), encoding="utf-8")


def _clips(folder: Path, split: str, count: int, preset: str, seed: int) -> Iterator[dict[str, Any]]:
    for index in range(count):
        made = clip(seed, split, index, preset)
        encoded = map(_encoded, frames(seed, split, index, preset))
        write_frames(folder / made["frames_file"], encoded, {"fps": FPS, "video_uid": made["video_uid"]}, sync=False)
        yield made


def _encoded(frame: np.ndarray) -> bytes:
    """PNG, which stores hold as well as JPEG: small pictures keep their colours, the same with any decoder."""
    return _png(frame.tobytes(), frame.shape[:2])


@lru_cache(maxsize=512)
def _png(pixels: bytes, shape: tuple[int, int]) -> bytes:
    """Stages of a story are stretches of equal frames."""
    return indexed_png(np.frombuffer(pixels, np.uint8).reshape(*shape, 3))


def _captions(folder: Path, count: int, preset: str, seed: int) -> Iterator[dict[str, Any]]:
    """Single pictures in one store, each a clip of its own in which the assistant names the part."""
    drawn = [captioned(seed, index, preset) for index in range(count)]
    if drawn:
        pictures = (_encoded(picture) for picture, _ in drawn)
        write_frames(folder / "frames" / f"{CAPTIONS}.arrow", pictures, {"fps": FPS, "video_uid": CAPTIONS}, sync=False)
    for index, (_, name) in enumerate(drawn):
        said = {"role": "assistant", "content": name, "time": index / FPS, "labels": "caption", "event": "caption"}
        yield {
            "video_uid": CAPTIONS,
            "dataset": NAME,
            "clip_idx": index,
            "id": f"caption_{index:05d}",
            "frames_file": f"frames/{CAPTIONS}.arrow",
            "start_frame_idx": index,
            "end_frame_idx": index + 1,
            "fps": FPS,
            "decisions": False,
            "conversation": [said],
            "metadata": {"user_type": "caption"},
        }
