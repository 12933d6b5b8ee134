"""Slides as a microscope shows them: cells of one colour or two, stained ground, perhaps a vessel along an edge.

Drawn into arrays of bytes with whole numbers only: the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np

from prospect.data.element.palettes import Colour, Tone

UNIT = 64  # all lengths below are in 64ths of the slide's edge
GRAIN = 17  # values that a channel may be off by, around 0

CELLS = {
    "red": Tone("red", (352, 364), (80, 95), (80, 95)),
    "yellow": Tone("yellow", (52, 60), (75, 95), (92, 100)),
    "green": Tone("green", (115, 140), (70, 95), (48, 65)),
    "blue": Tone("blue", (218, 235), (75, 95), (75, 95)),
}
STAINS = {  # halfway between black and white, as a tiny model takes that for nothing at all
    "pink": Tone("pink", (335, 348), (30, 42), (66, 76)),
    "brown": Tone("brown", (28, 38), (42, 55), (56, 66)),
    "cyan": Tone("cyan", (176, 190), (32, 46), (62, 72)),
    "grey": Tone("grey", (0, 360), (0, 5), (46, 56)),
}
NUMBERS = {1: "one", 2: "two", 4: "four"}  # of cells, which divide
SIDES = ("left", "right", "top", "bottom")
MIDDLES = ((21, 21), (43, 21), (21, 43), (43, 43))  # (x, y): cells have places, which no vessel reaches
VESSEL = Tone("vessel", (345, 360), (75, 95), (28, 42))
WALL, LUMEN = 9, 2  # how far a vessel reaches from the edge, and how wide it is open along its middle
NUCLEUS = Tone("nucleus", (0, 360), (0, 6), (94, 100))
MEMBRANE = Tone("membrane", (0, 360), (0, 20), (4, 12))  # of every cell: darkness alone tells how many there are
RIM = 2  # its thickness
CORE = 6  # half a nucleus


@dataclass(frozen=True)
class Slide:
    """What there is to be seen. `cells` has the colours of the cells, each in a place of its own."""

    stain: str
    cells: dict[int, str]
    nucleus: bool
    vessel: str | None

    @property
    def colours(self) -> list[str]:
        """Each once, in the order of the palette: no cell comes first."""
        return [colour for colour in CELLS if colour in self.cells.values()]

    @property
    def count(self) -> str:
        return NUMBERS[len(self.cells)]


def slide(rng: Random) -> Slide:
    """Every stain, number and side is as likely as every other; vessels and nuclei are on one slide of two."""
    places = rng.sample(range(len(MIDDLES)), rng.choice(list(NUMBERS)))
    colours = rng.sample(list(CELLS), 2 if len(places) > 1 and rng.random() < 0.5 else 1)
    cells = {place: colours[number % len(colours)] for number, place in enumerate(places)}
    return Slide(rng.choice(list(STAINS)), cells, rng.random() < 0.5, rng.choice(SIDES) if rng.random() < 0.5 else None)


def drawn(shown: Slide, rng: Random, size: int) -> np.ndarray:
    """(size, size, 3) of uint8."""
    canvas = np.empty((size, size, 3), np.int16)
    canvas[:] = STAINS[shown.stain].colour(rng)
    if shown.vessel:
        _vessel(canvas, shown.vessel, rng)
    nucleus = NUCLEUS.colour(rng)
    for place, colour in sorted(shown.cells.items()):
        _cell(canvas, place, CELLS[colour].colour(rng), nucleus if shown.nucleus else None, rng)
    grain = np.frombuffer(rng.randbytes(canvas.size), np.uint8).reshape(canvas.shape) % GRAIN
    return np.clip(canvas + grain.astype(np.int16) - GRAIN // 2, 0, 255).astype(np.uint8)


def _vessel(canvas: np.ndarray, side: str, rng: Random) -> None:
    """A band along one side, paler where it is open."""
    size = len(canvas)
    wall, middle = (reach * size // UNIT for reach in (WALL - rng.randrange(4), (WALL - LUMEN) // 2))
    depth = {
        "left": np.arange(size)[None, :],
        "right": np.arange(size)[None, ::-1],
        "top": np.arange(size)[:, None],
        "bottom": np.arange(size)[::-1, None],
    }[side]
    depth = np.broadcast_to(depth, (size, size))
    colour = VESSEL.colour(rng)
    canvas[depth < wall] = colour
    canvas[(depth >= middle) & (depth < middle + LUMEN * size // UNIT)] = [(each + 255) // 2 for each in colour]


def _cell(canvas: np.ndarray, place: int, colour: Colour, nucleus: Colour | None, rng: Random) -> None:
    """An ellipse near the middle of its quarter, with a dark membrane."""
    (x, y), (wide, tall) = MIDDLES[place], (rng.randint(10, 11) for _ in range(2))
    x, y = x + rng.randint(-1, 1), y + rng.randint(-1, 1)
    canvas[_ellipse(len(canvas), x, y, wide, tall)] = MEMBRANE.colour(rng)
    canvas[_ellipse(len(canvas), x, y, wide - RIM, tall - RIM)] = colour
    if nucleus:
        canvas[_ellipse(len(canvas), x, y, CORE, CORE)] = nucleus


def _ellipse(size: int, x: int, y: int, wide: int, tall: int) -> np.ndarray:
    """Which pixels lie in it: (size, size) of bool. Twice the lengths, so that the middle of a pixel is whole."""
    down, across = np.mgrid[0:size, 0:size]
    over, up = (UNIT * (2 * axis + 1) - 2 * middle * size for axis, middle in ((across, x), (down, y)))
    return (over * tall) ** 2 + (up * wide) ** 2 <= (2 * wide * tall * size) ** 2
