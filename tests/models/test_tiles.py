"""Tiles, tokens and pixels of pictures by nanoVLM's rules, written another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.models.nanovlms import noise, small
from transformers import AutoImageProcessor

from prospect.conversation.sample import Picture
from prospect.errors import UserError
from prospect.models.nanovlm_layout import PUBLISHED
from prospect.models.tiles import TileLayout, TileSettings, own_tiles, tile_layout_of

TILE, TOKENS = 16, 4
LAYOUT = TileLayout(TILE, TOKENS, size=64)
SIDES = st.integers(1, 200)


def halved(pixels: np.ndarray, tile: int) -> np.ndarray:
    """One axis (the first) brought down to `tile` by a triangle as wide as what becomes one pixel."""
    scale = len(pixels) / tile
    centres = (np.arange(tile) + 0.5) * scale
    weights = np.clip(1 - np.abs(np.arange(len(pixels)) + 0.5 - centres[:, None]) / max(scale, 1), 0, None)
    return np.tensordot(weights / weights.sum(1, keepdims=True), pixels, axes=1)


def rightly(picture: Image.Image, size: int, fill: bool) -> list[np.ndarray]:
    """The rules as nanoVLM's description has them, the tiles one by one."""
    long, short = max(picture.size), min(picture.size)
    edge = size if fill else min(size, math.ceil(long / TILE) * TILE)
    other = max(math.ceil(short * (edge / long) / TILE) * TILE, TILE)
    width, height = (edge, other) if picture.width >= picture.height else (other, edge)
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC)).astype(float) / 255
    tiles = [pixels[y : y + TILE, x : x + TILE] for y in range(0, height, TILE) for x in range(0, width, TILE)]
    if len(tiles) == 1:
        return tiles
    whole = halved(halved(pixels, TILE).transpose(1, 0, 2), TILE).transpose(1, 0, 2)
    return [whole, *tiles]


@given(SIDES, SIDES, st.sampled_from([16, 32, 64, 128]), st.booleans())
@settings(max_examples=80, deadline=None)
def test_pixels_are_those_of_the_rules(width, height, size, fill):
    layout, picture = TileLayout(TILE, TOKENS, size, fill), noise(width, height)
    expected = np.stack(rightly(picture, size, fill)).transpose(0, 3, 1, 2)
    got = layout.pixels([Picture(picture)])
    assert got["pixel_values"].shape == (1, *expected.shape)
    assert np.abs(got["pixel_values"][0].numpy() - expected).max() <= 1e-5
    assert got["pixel_attention_mask"].all()
    assert layout.features(Picture(picture)) == TOKENS * len(expected)


@given(SIDES, SIDES, st.sampled_from([16, 64, 128]))
@settings(max_examples=60, deadline=None)
def test_placeholders_count_what_the_model_will_see_in_its_order(width, height, size):
    layout, picture = TileLayout(TILE, TOKENS, size), Picture(noise(width, height))
    (segment,) = layout.segments(picture)
    rows, columns = layout.grid(width, height)
    names = [f"<row_{row}_col_{col}>" for row in range(1, rows + 1) for col in range(1, columns + 1)]
    expected = ["<|global_image|>", *(names if len(names) > 1 else [])]
    assert segment.text == "".join(name + "<|image|>" * TOKENS for name in expected)
    assert segment.control
    assert len(layout.pixels([picture])["pixel_values"][0]) == len(expected)


def test_a_large_picture_has_1105_tokens_at_true_size():
    layout = own_tiles(PUBLISHED)
    (segment,) = layout.segments(Picture(Image.new("RGB", (3000, 3000))))
    assert segment.text.count("<|image|>") + segment.text.count("<row_") + 1 == 1105
    assert layout.adjusted(TileSettings(size=512)).features(Picture(Image.new("RGB", (3000, 3000)))) == 64


def test_several_pictures_stand_in_one_row_in_order():
    pictures = [Picture(noise(90, 30, 1)), Picture(noise(10, 10, 2)), Picture(noise(30, 90, 3))]
    each = [LAYOUT.pixels([picture])["pixel_values"] for picture in pictures]
    assert torch.equal(LAYOUT.pixels(pictures)["pixel_values"], torch.cat(each, dim=1))
    assert LAYOUT.pixels([]) == {}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_black_picture_is_not_dropped(dtype):
    vlm = small()
    black = Picture(Image.new("RGB", (90, 32)))
    pictures = [black, Picture(noise(32, 32))]
    pixels = vlm.images.pixels(pictures)
    assert (pixels["pixel_values"].to(dtype).abs().amax((2, 3, 4)) > 0).all()
    ids = torch.tensor([[1, *[vlm.image_token_id] * sum(map(vlm.images.features, pictures))]])
    vlm.model(input_ids=ids, **pixels)  # raises where features and tokens disagree
    with pytest.raises(ValueError, match="do not match"):
        vlm.model(input_ids=ids, pixel_values=pixels["pixel_values"] * (pixels["pixel_values"] > 1e-3))


def test_a_frame_is_one_tile_stretched_or_padded():
    white = Image.new("RGB", (40, 20), (255, 255, 255))
    assert LAYOUT.frame(white).min() == 255
    padded = LAYOUT.adjusted(TileSettings(letterbox=True)).of_frames().frame(white)
    assert padded.shape == (TILE, TILE, 3)
    assert padded[:2].max() < 10 < 200 < padded[6:10].min()


def test_settings_survive_a_folder_that_transformers_refuses(tmp_path):
    own = PUBLISHED | {"vit_img_size": TILE, "mp_image_token_length": TOKENS, "max_img_size": 64}
    layout = LAYOUT.adjusted(TileSettings(size=32, letterbox=True))
    layout.write(tmp_path)
    assert tile_layout_of(tmp_path, own) == layout
    with pytest.raises(ValueError, match=r"[Uu]nrecognized|NanoVLM"):
        AutoImageProcessor.from_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"size": 32, "fill": false}')
    with pytest.raises(UserError, match=r"lacks 'letterbox'.*nanoVLM"):
        tile_layout_of(tmp_path, own)


@pytest.mark.parametrize("size", [0, 8, 40, 9 * TILE])
def test_sizes_without_tokens_are_refused(size):
    with pytest.raises(UserError, match=r"multiple of 16 pixels.*at most 128"):
        LAYOUT.adjusted(TileSettings(size=size))
