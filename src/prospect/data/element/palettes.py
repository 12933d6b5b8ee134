"""The colours of the drawn elements, as they are in nature and exchanged among each other."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from random import Random

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Tone:
    """A range of colours with a name: hue in degrees, saturation and value in percent."""

    name: str
    hue: tuple[int, int]
    saturation: tuple[int, int]
    value: tuple[int, int]

    def colour(self, rng: Random, light: float = 1.0) -> Colour:
        hue = rng.uniform(*self.hue) % 360 / 360
        value = min(1.0, rng.uniform(*self.value) / 100 * light)
        red, green, blue = colorsys.hsv_to_rgb(hue, rng.uniform(*self.saturation) / 100, value)
        return round(red * 255), round(green * 255), round(blue * 255)


# element -> (main tone, second tone); some overlap: brown land and wood, pale water and silver metal
NATURAL = {
    "water": (Tone("blue", (190, 230), (45, 85), (50, 90)), Tone("pale blue", (185, 215), (10, 35), (75, 95))),
    "land": (Tone("green", (70, 135), (35, 70), (35, 70)), Tone("brown", (25, 50), (35, 65), (35, 65))),
    "fire": (Tone("orange", (8, 32), (75, 100), (80, 100)), Tone("yellow", (42, 58), (60, 95), (90, 100))),
    "wood": (Tone("brown", (18, 36), (45, 75), (35, 65)), Tone("dark brown", (15, 32), (50, 80), (18, 32))),
    "metal": (Tone("grey", (0, 360), (0, 10), (45, 75)), Tone("silver", (190, 240), (0, 14), (78, 95))),
}
# every element takes the colours of something else: a model that goes by colours has to learn them anew
SHIFTED = {
    "water": (Tone("orange", (8, 32), (75, 100), (80, 100)), Tone("yellow", (42, 58), (60, 95), (90, 100))),
    "land": (Tone("grey", (0, 360), (0, 10), (45, 75)), Tone("silver", (190, 240), (0, 14), (78, 95))),
    "fire": (Tone("green", (70, 135), (35, 70), (35, 70)), Tone("brown", (25, 50), (35, 65), (35, 65))),
    "wood": (Tone("blue", (190, 230), (45, 85), (50, 90)), Tone("pale blue", (185, 215), (10, 35), (75, 95))),
    "metal": (Tone("purple", (270, 310), (45, 80), (45, 80)), Tone("pink", (310, 340), (25, 50), (75, 95))),
}
PALETTES = {"natural": NATURAL, "shifted": SHIFTED}
