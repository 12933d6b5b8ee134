"""Frames of the assembly world, read back: every event can be found in the pictures alone, at its own frame."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from time import perf_counter

import numpy as np
import pytest

from prospect.data.assembly.clip import clip
from prospect.data.assembly.pictures import ASKEW, BOLT, SKIN, TONES, TOY, captioned, frame, frames, mask
from prospect.data.assembly.presets import SPLITS
from prospect.data.assembly.story import HOME, PARTS, SHAPES, Scene, story

PINNED = {
    "easy": "7a5798ef3ebd1e1f171e2a87bd96e6a1793d31cf55030a493b3f51afe045d712",
    "hard": "c3b7ae84a4c2c762431101fb725df9136ac03a296337d9ecd8c3d544c61e93fb",
}


@dataclass(frozen=True)
class Seen:
    """What an onlooker finds in one easy frame."""

    part: str | None
    hands: bool
    askew: bool
    bolted: bool
    studs: int
    toy: bool


def look(picture: np.ndarray) -> Seen:
    def has(colour: tuple[int, int, int]) -> bool:
        return bool((box == colour).all(-1).any())

    box = picture[:, 7:25]
    row = picture[27, 3:30:4]
    toy = bool((picture[25, 15] == TOY).all())
    studs = sum(not (pixel == TOY).all() for pixel in row) if toy else 0
    return Seen(part_in(picture), has(SKIN), has(ASKEW), has(BOLT), studs, toy)


def part_in(picture: np.ndarray) -> str | None:
    """The part whose mask fits best, its lowest rows left out: they may be covered."""
    x, y = HOME
    box = picture[y : y + 9, x : x + 14]
    for colour, tone in TONES.items():
        same = (box == tone).all(-1)
        for shape in SHAPES:
            if same.any() and (same == mask(shape)[:9]).all():
                return f"{colour} {shape}"
    return None


def events_seen(pictures: np.ndarray) -> list[tuple[int, str, str | None]]:
    found: list[tuple[int, str, str | None]] = []
    for index, (before, now) in enumerate(pairwise(map(look, pictures)), 1):
        if now.part and not before.part:
            found.append((index, "next", now.part))
        if now.part and now.hands and not before.hands and not now.askew:
            found.append((index, "start", now.part))
        if now.askew and not before.askew:
            found.append((index, "crooked", now.part))
        if now.studs > before.studs and now.bolted and not before.bolted:
            found += [(index, "complete", now.part), (index, "good", now.part)]
        if before.toy and not now.toy:
            found.append((index, "end", None))
    return found


@pytest.mark.parametrize("split", SPLITS)
def test_every_easy_event_and_the_name_of_its_part_follow_from_the_pictures_alone(split):
    for index in range(40):
        told = story(3, split, index)
        expected = [(e.frame, e.kind, e.part.name if e.part else None) for e in told.events]
        assert events_seen(frames(3, split, index)) == expected


def test_blank_frames_show_nothing():
    assert events_seen(np.zeros_like(frames(3, "train", 0))) == []


@pytest.mark.parametrize("preset", ["easy", "hard"])
def test_every_name_that_is_said_is_the_one_drawn(preset):
    for index in range(60):
        told, made = story(0, "val", index, preset), clip(0, "val", index, preset)
        for turn in made["conversation"][1:]:
            named = [p for p in PARTS if turn["role"] == "assistant" and p.name in turn["content"]]
            assert len(named) <= 1
            scene = told.scenes[int(turn["time"] * 2)]
            drawn = (scene.part, *scene.placed[-1:]) if "in place" in str(turn["content"]) else (scene.part,)
            assert set(named) <= set(drawn)


def test_every_state_of_every_part_looks_different():
    scenes = [Scene(part, manner) for part in PARTS for manner in ("lies", "carried", "crooked", "turned", "fixed")]
    assert len({frame(scene).tobytes() for scene in scenes}) == len(scenes)


def test_idle_hands_toy_and_clutter_stay_outside_the_place_of_the_part():
    for index in range(30):
        for scene, picture in zip(story(0, "train", index).scenes, frames(0, "train", index), strict=True):
            if scene.part is None:
                assert (picture[8:24, 8:24] == picture[8, 8]).all()


def test_captions_name_the_part_that_is_drawn_and_cover_all():
    shown = [captioned(0, index) for index in range(600)]
    assert all(part_in(picture) == caption.removesuffix(".") for picture, caption in shown)
    assert {caption for _, caption in shown} == {f"{part.name}." for part in PARTS}


@pytest.mark.parametrize("preset", ["easy", "hard"])
def test_pictures_are_the_same_on_every_machine(preset):
    digest = sha256()
    for split in SPLITS:
        for index in range(3):
            drawn = frames(0, split, index, preset)
            assert drawn.dtype == np.uint8
            assert drawn.shape == (len(story(0, split, index, preset).scenes), 32, 32, 3)
            digest.update(drawn.tobytes())
    assert digest.hexdigest() == PINNED[preset]


def test_seeds_differ():
    assert frames(0, "train", 0).tobytes() != frames(1, "train", 0).tobytes()


def test_a_world_of_the_usual_size_is_drawn_in_seconds():
    began = perf_counter()
    count = 0
    for split, clips in (("train", 200), ("val", 40), ("test", 40)):
        for index in range(clips):
            clip(0, split, index)
            count += len(frames(0, split, index))
    print(f"{count} frames in {perf_counter() - began:.1f} s")
    assert count > 280 * 60
