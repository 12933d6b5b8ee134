"""Pictures of the five elements, drawn with integer geometry and no fonts, so that every machine draws the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageChops, ImageDraw

from prospect.data.element.palettes import PALETTES, Colour, Tone

Box = tuple[int, int, int, int]  # left, top, width, height
OVERSAMPLING = 2  # drawn larger and averaged down: antialiasing that does not depend on the drawing library
SWAPPED = 0.2  # share of pictures in which the second tone leads: brown land, pale water, yellow fire


@dataclass
class Pen:
    """What a drawing needs: where to draw, with which randomness, in whose colours, how bright."""

    draw: ImageDraw.ImageDraw
    rng: Random
    tones: tuple[Tone, Tone]
    light: float

    def main(self) -> Colour:
        return self.tones[0].colour(self.rng, self.light)

    def second(self) -> Colour:
        return self.tones[1].colour(self.rng, self.light)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self.draw.polygon([(round(x), round(y)) for x, y in points], fill=colour)


def picture(element: str, rng: Random, palette: str, size: int) -> Image.Image:
    """One picture: background, clutter in anybody's colours, the element at its own place and scale, noise."""
    whole = size * OVERSAMPLING
    tones, light = PALETTES[palette], rng.uniform(0.75, 1.2)
    canvas = _background(whole, rng)
    draw = ImageDraw.Draw(canvas)
    _clutter(draw, whole, rng, tones)
    width, height = (round(whole * rng.uniform(0.6, 0.9)) for _ in range(2))
    box = (rng.randint(0, whole - width), rng.randint(0, whole - height), width, height)
    main, second = tones[element]
    pair = (second, main) if rng.random() < SWAPPED else (main, second)
    DRAWINGS[element](Pen(draw, rng, pair, light), box)
    return _noisy(canvas.reduce(OVERSAMPLING), rng)


def _background(whole: int, rng: Random) -> Image.Image:
    """A muted wall, sky or dusk of any hue, lighter towards one end: it tells nothing about the element."""
    tone = Tone("", (0, 360), (0, 60), (30, 95))
    top, bottom = tone.colour(rng), tone.colour(rng)
    canvas = Image.new("RGB", (1, whole))
    for y in range(whole):
        canvas.putpixel(
            (0, y), tuple((a * (whole - 1 - y) + b * y) // (whole - 1) for a, b in zip(top, bottom, strict=True))
        )
    return canvas.resize((whole, whole), Image.Resampling.NEAREST)


def _clutter(draw: ImageDraw.ImageDraw, whole: int, rng: Random, tones: dict[str, tuple[Tone, Tone]]) -> None:
    """Blobs and bars in the colours of all elements, so that a mean colour is a poor guide."""
    for _ in range(rng.randint(3, 7)):
        colour = rng.choice(rng.choice(list(tones.values()))).colour(rng)
        width, height = (round(whole * rng.uniform(0.1, 0.4)) for _ in range(2))
        x, y = rng.randint(-width // 2, whole - width // 2), rng.randint(-height // 2, whole - height // 2)
        shape = rng.choice((draw.ellipse, draw.rectangle))
        shape((x, y, x + width, y + height), fill=colour)


def _noisy(image: Image.Image, rng: Random) -> Image.Image:
    grain = Image.frombytes("RGB", image.size, rng.randbytes(3 * image.width * image.height))
    dim = grain.point([value // 10 for value in range(256)] * 3)  # 0 … 25
    return ImageChops.add(image, dim, 1, -12)


def _water(pen: Pen, box: Box) -> None:
    """Waves across, one above the other, some with a line of foam."""
    left, top, width, height = box
    rows, length = pen.rng.randint(4, 6), width / pen.rng.uniform(1.5, 3.5)
    swell, phase = height / rows * pen.rng.uniform(0.2, 0.4), pen.rng.uniform(0, math.tau)
    for row in range(rows):
        y, drift = top + height * row / rows, phase + row * 1.7
        xs = [left + width * step / 24 for step in range(25)]
        crest = [(x, y + swell * math.sin(math.tau * (x - left) / length + drift)) for x in xs]
        pen.polygon([*crest, (left + width, top + height), (left, top + height)], pen.main())
        thick = height / rows * 0.25
        pen.polygon(crest + [(x, y + thick) for x, y in reversed(crest)], pen.second())


def _land(pen: Pen, box: Box) -> None:
    """Round hills behind hills on a strip of ground, with some bushes."""
    left, top, width, height = box
    for layer, place in enumerate((0.32, 0.68, 0.5)):
        half = width * pen.rng.uniform(0.26, 0.32)
        x, tall = left + width * place, height * (0.9 - 0.2 * layer) * pen.rng.uniform(0.8, 1.1)
        _hill(pen, (x, top + height), half, tall, pen.second() if layer == 1 else pen.main())
    ground = top + height * 0.85
    edge = left + width, top + height
    pen.polygon([(left, ground), (edge[0], ground), edge, (left, edge[1])], pen.second())
    for _ in range(pen.rng.randint(2, 5)):
        _disc(pen, (left + width * pen.rng.uniform(0.1, 0.9), ground), width * pen.rng.uniform(0.03, 0.06), pen.main())


def _hill(pen: Pen, foot: tuple[float, float], half: float, tall: float, colour: Colour) -> None:
    x, y = foot
    steps = [step / 12 for step in range(-12, 13)]
    pen.polygon([(x + half * at, y - tall * (1 - at * at) ** 0.7) for at in steps], colour)


def _disc(pen: Pen, centre: tuple[float, float], radius: float, colour: Colour, stretch: float = 1.0) -> None:
    x, y, across, up = round(centre[0]), round(centre[1]), round(radius), round(radius * stretch)
    pen.draw.ellipse((x - across, y - up, x + across, y + up), fill=colour)


def _fire(pen: Pen, box: Box) -> None:
    """Tongues that rise from one bed, each with a brighter heart."""
    left, top, width, height = box
    tongues = pen.rng.randint(3, 5)
    feet = [left + width * (index + 0.5) / tongues for index in range(tongues)]
    tips = [height * pen.rng.uniform(0.6, 1.0) for _ in feet]
    for scale, shade in ((1.0, pen.main), (0.55, pen.second)):
        for foot, tip in zip(feet, tips, strict=True):
            _tongue(pen, (foot, top + height), width / tongues * 0.75 * scale, tip * scale, shade())


def _tongue(pen: Pen, foot: tuple[float, float], half: float, tall: float, colour: Colour) -> None:
    x, y = foot
    lean = pen.rng.uniform(-0.6, 0.6) * half
    outline = [
        (-0.6, 0),
        (-1, 0.25),
        (-0.75, 0.5),
        (-0.25, 0.75),
        (0, 1),
        (0.3, 0.75),
        (0.75, 0.5),
        (1, 0.25),
        (0.6, 0),
    ]
    pen.polygon([(x + half * across + lean * up, y - tall * up) for across, up in outline], colour)


def _wood(pen: Pen, box: Box) -> None:
    """Upright boards with grain and knots, or the sawn end of a log with its rings."""
    left, top, width, height = box
    if pen.rng.random() < 0.25:
        _rings(pen, (left + width / 2, top + height / 2), min(width, height) / 2)
        return
    boards = pen.rng.randint(2, 4)
    for board in range(boards):
        x, wide, head = left + width * board / boards, width / boards, top + height * pen.rng.uniform(0, 0.15)
        pen.polygon(_upright(x, wide, head, top + height), pen.main())
        dark = pen.second()
        for line in range(3):
            pen.polygon(_upright(x + wide * (0.1 + 0.35 * line), max(1.0, wide * 0.09), head, top + height), dark)
        knot = x + wide * 0.5, head + (top + height - head) * pen.rng.uniform(0.2, 0.8)
        _disc(pen, knot, wide * 0.25, dark, 1.5)
        _disc(pen, knot, wide * 0.14, pen.main(), 1.5)


def _upright(x: float, wide: float, head: float, foot: float) -> list[tuple[float, float]]:
    return [(x, head), (x + wide, head), (x + wide, foot), (x, foot)]


def _rings(pen: Pen, centre: tuple[float, float], radius: float) -> None:
    for ring in range(8):
        _disc(pen, centre, radius * (1 - ring / 8), pen.main() if ring % 2 else pen.second())


def _metal(pen: Pen, box: Box) -> None:
    """A gear with a hole, or a plate with cut corners, a sheen and rivets."""
    left, top, width, height = box
    x, y, radius = left + width / 2, top + height / 2, min(width, height) / 2
    if pen.rng.random() < 0.5:
        _gear(pen, x, y, radius)
    else:
        _plate(pen, x, y, width / 2, height / 2)


def _gear(pen: Pen, x: float, y: float, radius: float) -> None:
    teeth, turn = pen.rng.randint(7, 10), pen.rng.uniform(0, math.tau)
    reach = [1.0, 1.0, 0.75, 0.75]
    steps = [(turn + math.tau * step / (4 * teeth), radius * reach[step % 4]) for step in range(4 * teeth)]
    pen.polygon([(x + far * math.cos(angle), y + far * math.sin(angle)) for angle, far in steps], pen.main())
    for share, colour in ((0.5, pen.second()), (0.25, (30, 30, 34))):
        _disc(pen, (x, y), radius * share, colour)


def _plate(pen: Pen, x: float, y: float, half: float, tall: float) -> None:
    corners = [(-1, -0.7), (-0.7, -1), (0.7, -1), (1, -0.7), (1, 0.7), (0.7, 1), (-0.7, 1), (-1, 0.7)]
    pen.polygon([(x + half * a, y + tall * b) for a, b in corners], pen.main())
    pen.polygon(
        [(x + half * a, y + tall * b) for a, b in ((-0.5, 0.8), (-0.15, 0.8), (0.6, -0.8), (0.25, -0.8))], pen.second()
    )
    for a, b in ((-0.7, -0.7), (0.7, -0.7), (0.7, 0.7), (-0.7, 0.7)):
        _disc(pen, (x + half * a, y + tall * b), max(1.0, min(half, tall) * 0.14), (40, 40, 44))


DRAWINGS: dict[str, Callable[[Pen, Box], None]] = {
    "water": _water,
    "land": _land,
    "fire": _fire,
    "wood": _wood,
    "metal": _metal,
}
