"""Drawn pictures come back as they were, with a palette where their colours fit into one."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from prospect.data.png import indexed_png, png, png_of


def read(raw: bytes) -> Image.Image:
    return Image.open(io.BytesIO(raw))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 300), st.integers(0, 9))
def test_pixels_come_back(height, width, colours, seed):
    noise = np.random.default_rng(seed)
    pixels = noise.integers(0, 256, (colours, 3), np.uint8)[noise.integers(0, colours, (height, width))]
    for raw in (indexed_png(pixels), png_of(pixels)):
        assert (np.asarray(read(raw).convert("RGB")) == pixels).all()
    assert png(Image.fromarray(pixels)) == png_of(pixels)


@pytest.mark.parametrize(("colours", "mode"), [(256, "P"), (257, "RGB")])
def test_a_palette_holds_256_colours(colours, mode):
    pixels = np.zeros((1, colours, 3), np.uint8)
    pixels[0, :, 0], pixels[0, :, 1] = np.arange(colours) % 256, np.arange(colours) // 256
    assert read(indexed_png(pixels)).mode == mode


def test_a_palette_saves_room():
    pixels = np.zeros((32, 32, 3), np.uint8)
    assert len(indexed_png(pixels)) < len(png_of(pixels)) / 2.5
