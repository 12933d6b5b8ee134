"""Frames of the assembly world, drawn into arrays of bytes with whole numbers only: the same on every machine.

A frame is 32 × 32. In the easy world the part's box (14 × 14) lies inside the four patches of 8 pixels in the middle;
hands come from above, the toy and its studs fill the lowest row of patches, clutter and idle hands keep to the edges.
"""

from __future__ import annotations

from functools import lru_cache
from random import Random

import numpy as np

from prospect.data.assembly.presets import settings
from prospect.data.assembly.story import COLOURS, HOME, PARTS, Manner, Part, Scene, Story, story

SIZE, BOX = 32, 14
BACKGROUND = (205, 200, 190)
TOY, PLATE, BOLT, SKIN, ASKEW = (150, 150, 155), (60, 60, 65), (255, 255, 255), (235, 175, 140), (120, 75, 35)
TONES = {
    "red": (215, 30, 35),
    "orange": (245, 135, 20),
    "yellow": (245, 225, 40),
    "green": (30, 150, 50),
    "blue": (30, 60, 205),
    "purple": (135, 40, 160),
    "cyan": (40, 205, 220),
    "black": (15, 15, 20),
}
DULL = ((175, 170, 160), (185, 165, 130), (165, 175, 180))
CLUTTER = DULL + tuple(TONES[colour] for colour in COLOURS)
MANNERS: tuple[Manner, ...] = ("lies", "carried", "crooked", "turned", "fixed")
GRAIN = 13  # values that a channel of a grainy pixel may be off by, around 0


def frames(seed: int, split: str, index: int, preset: str = "easy") -> np.ndarray:
    """All frames of the video of one clip: (n, 32, 32, 3) of uint8."""
    return film(
        story(seed, split, index, preset), settings(preset, split).anywhere, Random(f"{seed} {split} {index} grain")
    )


def film(told: Story, grainy: bool, rng: Random) -> np.ndarray:
    drawn = np.stack([frame(scene) for scene in told.scenes])
    return _grainy(drawn, rng) if grainy else drawn


def captioned(seed: int, index: int, preset: str = "easy") -> tuple[np.ndarray, str]:
    """A single frame with one part in any state, and its name: `red disc.`"""
    rng, rules = Random(f"{seed} caption {index}"), settings(preset)
    part = rng.choice(PARTS)
    at = (rng.randint(2, 16), rng.randint(5, 9)) if rules.anywhere else HOME
    placed = tuple(rng.sample(PARTS, rng.randint(0, 6)))
    manner = rng.choice(MANNERS)
    if manner == "fixed":
        placed = (*placed, part)  # a part that is bolted on has its stud
    drawn = frame(Scene(part, manner, at, placed, covered=rules.covered))
    return (_grainy(drawn[None], rng)[0] if rules.anywhere else drawn), f"{part.name}."


@lru_cache(maxsize=256)
def frame(scene: Scene) -> np.ndarray:
    """One scene without grain. Read-only, because equal scenes share it."""
    canvas = np.empty((SIZE, SIZE, 3), np.uint8)
    canvas[:] = BACKGROUND
    for left, top, width, height, tone in scene.clutter:
        _fill(canvas, left, top, width, height, CLUTTER[tone])
    if scene.resting:
        for left in (0, 27):
            _fill(canvas, left, 13, 5, 6, SKIN)
    if scene.toy:
        _toy(canvas, () if scene.covered else scene.placed)
    if scene.part:
        _part(canvas, scene.part, scene.manner, scene.at)
    canvas.flags.writeable = False
    return canvas


def _toy(canvas: np.ndarray, placed: tuple[Part, ...]) -> None:
    """A grey base on two wheels, with a stud for each part."""
    _fill(canvas, 1, 25, 30, 5, TOY)
    for left in (4, 25):
        _fill(canvas, left, 30, 3, 2, PLATE)
    for place, part in enumerate(placed):
        _fill(canvas, 2 + 4 * place, 26, 3, 3, TONES[part.colour])


def _part(canvas: np.ndarray, part: Part, manner: Manner, at: tuple[int, int]) -> None:
    x, y = at
    if manner == "fixed":  # beneath the part
        _fill(canvas, x - 2, y + BOX - 1, BOX + 4, 3, PLATE)
    canvas[y : y + BOX, x : x + BOX][mask(part.shape)] = TONES[part.colour]
    if manner in ("carried", "turned"):
        for left in (x + 1, x + 10):
            _fill(canvas, left, 0, 3, y, SKIN)
    if manner in ("crooked", "turned"):
        for step in range(BOX + 2):
            _fill(canvas, x - 1 + step, y + BOX - step // 4, 1, 2, ASKEW)
    if manner == "fixed":
        for left in (x - 2, x + BOX):
            _fill(canvas, left, y + BOX - 6, 2, 4, BOLT)


def _fill(canvas: np.ndarray, left: int, top: int, width: int, height: int, colour: tuple[int, int, int]) -> None:
    canvas[max(0, top) : top + height, max(0, left) : left + width] = colour


@lru_cache
def mask(shape: str) -> np.ndarray:
    """Which pixels of its box a shape covers."""
    down, across = np.mgrid[0:BOX, 0:BOX]
    x, y = 2 * across - BOX + 1, 2 * down - BOX + 1  # twice the distance from the middle: odd, -13 to 13
    round_, from_middle = x * x + y * y, np.maximum(abs(x), abs(y))
    return {
        "disc": round_ <= 170,
        "square": from_middle <= BOX,
        "triangle": 2 * abs(x) <= y + BOX,
        "cross": np.minimum(abs(x), abs(y)) <= 3,
        "ring": (round_ <= 170) & (round_ >= 60),
        "bar": abs(y) <= 5,
    }[shape]


def _grainy(drawn: np.ndarray, rng: Random) -> np.ndarray:
    grain = np.frombuffer(rng.randbytes(drawn.size), np.uint8).reshape(drawn.shape) % GRAIN
    return np.clip(drawn.astype(np.int16) + grain - GRAIN // 2, 0, 255).astype(np.uint8)
