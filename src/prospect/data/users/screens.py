"""Screens with a window of four buttons, drawn with integer geometry and no fonts: the same on every machine."""

from __future__ import annotations

from random import Random

from PIL import Image, ImageDraw

from prospect.data.element.palettes import Tone

UNIT = 1000  # a point is told in thousandths of the screen, as Qwen3-VL does
WINDOWS = ((0, 0), (500, 0), (0, 500), (500, 500))  # where a window may lie: its upper left corner
WIDE, MARGIN = 500, 30  # of a window, and from its edge to that of the quarter it lies in
BUTTONS = ((130, 130), (370, 130), (130, 370), (370, 370))  # the middles of the buttons, from that corner
HALF = 85  # half a button

GROUND = Tone("ground", (0, 360), (0, 12), (12, 40))
WINDOW = Tone("window", (0, 360), (35, 90), (80, 100))
INK = Tone("ink", (0, 360), (0, 30), (5, 30))


def point(window: int, button: int) -> tuple[int, int]:
    """The middle of a button on the screen."""
    (left, top), (x, y) = WINDOWS[window], BUTTONS[button]
    return left + x, top + y


def screen(window: int, rng: Random, size: int) -> Image.Image:
    """Colours, edges and the lines that stand for writing vary, and mean nothing."""
    picture = Image.new("RGB", (size, size), GROUND.colour(rng))
    draw = ImageDraw.Draw(picture)
    left, top = WINDOWS[window]
    edges = [rng.randrange(MARGIN) for _ in range(4)]
    frame = (left + edges[0], top + edges[1], left + WIDE - edges[2], top + WIDE - edges[3])
    draw.rectangle([_pixel(edge, size) for edge in frame], WINDOW.colour(rng))
    ink = INK.colour(rng)
    for button in range(len(BUTTONS)):
        _button(draw, point(window, button), ink, rng, size)
    return picture


def _button(draw: ImageDraw.ImageDraw, middle: tuple[int, int], ink: tuple[int, ...], rng: Random, size: int) -> None:
    """A box that bears no word, but a line."""
    (x, y), half = middle, HALF - rng.randrange(20)
    draw.rectangle([_pixel(edge, size) for edge in (x - half, y - half, x + half, y + half)], outline=ink)
    length = rng.randrange(20, 60)
    draw.line([_pixel(edge, size) for edge in (x - length, y, x + length, y)], fill=ink)


def _pixel(thousandths: int, size: int) -> int:
    return thousandths * size // UNIT
