"""Placeholders and pixels are those of transformers' own image processor, whatever the shape of the picture."""

import math
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from prospect.conversation.sample import Picture
from prospect.errors import UserError
from prospect.models.images import ImageLayout, ImageSettings, layout_of
from prospect.models.tiny import tiny

SMALL = ImageLayout(tile=16, tokens=4, size=64)
SIDES = st.integers(1, 150)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.frombytes("RGB", (width, height), Random(seed).randbytes(3 * width * height))


def reference(layout: ImageLayout, pictures: list[Image.Image]) -> dict:
    processor = SmolVLMImageProcessorPil(
        size={"longest_edge": layout.size},
        max_image_size={"longest_edge": layout.tile},
        image_mean=list(layout.mean),
        image_std=list(layout.std),
        resample=layout.resample,
        do_image_splitting=layout.split,
    )
    return processor([pictures], return_tensors="pt", return_row_col_info=True)


@given(SIDES, SIDES, st.booleans(), st.integers(16, 96))
@settings(max_examples=60, deadline=None)
def test_grid_and_pixels_are_those_of_transformers(width, height, split, size):
    layout = ImageLayout(tile=16, tokens=4, size=size, split=split, mean=(0.3, 0.5, 0.7), std=(0.2, 0.5, 0.4))
    picture = noise(width, height)
    expected = reference(layout, [picture])
    got = layout.pixels([Picture(picture)])
    assert layout.grid(width, height) == (expected["rows"][0][0], expected["cols"][0][0])
    assert got["pixel_values"].shape == expected["pixel_values"].shape
    assert (got["pixel_values"] - expected["pixel_values"]).abs().max() <= 1e-6
    assert (got["pixel_attention_mask"] == expected["pixel_attention_mask"]).all()


def test_several_pictures_stand_in_one_row_in_order():
    pictures = [noise(90, 30, 1), noise(30, 90, 2), noise(20, 20, 3)]
    expected = reference(SMALL, pictures)["pixel_values"]
    got = SMALL.pixels([Picture(picture) for picture in pictures])["pixel_values"]
    assert got.shape == expected.shape
    assert (got - expected).abs().max() <= 1e-6


@given(SIDES, SIDES, st.booleans(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_placeholders_count_what_the_model_will_see(width, height, split, letterbox):
    layout = ImageLayout(tile=16, tokens=4, size=64, split=split, letterbox=letterbox)
    picture = Picture(noise(width, height))
    text = "".join(segment.text for segment in layout.segments(picture))
    tiles = layout.pixels([picture])["pixel_values"].shape[1]
    assert text.count("<image>") == tiles * layout.tokens == layout.features(picture)


def test_only_line_breaks_are_ordinary_text():
    segments = SMALL.segments(Picture(noise(64, 32)))
    assert [segment.text for segment in segments if not segment.control] == ["\n", "\n\n"]
    assert "".join(s.text for s in segments).startswith("<fake_token_around_image><row_1_col_1><image><image>")


def test_segments_read_only_the_header(tmp_path):
    path = tmp_path / "half.png"
    noise(200, 100).save(path)
    path.write_bytes(path.read_bytes()[:2000])  # the pixels are gone, the header is there
    assert SMALL.grid(200, 100) == (2, 4)
    assert len(SMALL.segments(Picture(path))) == 5


def test_letterbox_keeps_proportions_and_pads_with_the_neutral_colour():
    layout = ImageLayout(tile=16, tokens=4, size=16, split=False, letterbox=True, mean=(0.2, 0.4, 0.6))
    x = layout.pixels([Picture(Image.new("RGB", (40, 20), (255, 255, 255)))])["pixel_values"][0, 0]
    assert x[:, :2].abs().max() < 5e-2  # neutral, but for 8 bits and the filter
    assert x[:, 6:10].min() > 0.7
    assert x[:, 14:].abs().max() < 5e-2


def test_a_picture_of_the_neutral_colour_is_not_dropped():
    vlm = tiny(background=51)
    plain = Picture(Image.new("RGB", (32, 32), (51, 51, 51)))
    pixels = vlm.images.pixels([plain, Picture(noise(32, 32)), plain])
    assert (pixels["pixel_values"].abs().amax((2, 3, 4)) > 0).all()
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        assert (pixels["pixel_values"].to(dtype).abs().amax((2, 3, 4)) > 0).all()
    ids = torch.tensor([[1, vlm.image_token_id, vlm.image_token_id, vlm.image_token_id]])
    vlm.model(input_ids=ids, **pixels)  # raises where features and tokens disagree
    unguarded = torch.zeros_like(pixels["pixel_values"])
    unguarded[0, 1] = pixels["pixel_values"][0, 1]
    with pytest.raises(ValueError, match="do not match"):
        vlm.model(input_ids=ids, pixel_values=unguarded)


def test_no_pictures_no_pixels():
    assert SMALL.pixels([]) == {}


def test_settings_survive_a_folder(tmp_path):
    layout = SMALL.adjusted(ImageSettings(split=False, size=48, letterbox=True))
    layout.write(tmp_path)
    assert layout_of(tmp_path, tokens=4) == layout
    assert SMALL.adjusted(ImageSettings()) == SMALL == SMALL.adjusted(None)


@pytest.mark.parametrize(("settings_", "word"), [({"size": 97}, "at most 96"), ({"size": 0}, "between 1 and 4096")])
def test_sizes_without_tokens_are_refused(settings_, word):
    with pytest.raises(UserError, match=word):
        SMALL.adjusted(ImageSettings(**settings_))


def test_a_size_that_saves_nothing_is_said(caplog):
    SMALL.adjusted(ImageSettings(size=8))
    assert "not one token is saved" in caplog.text


@pytest.mark.parametrize("wrong", [{"do_normalize": False}, {"rescale_factor": 1.0}, {"size": {"height": 3}}])
def test_other_ways_to_prepare_pictures_are_refused(tmp_path, wrong):
    import json

    SMALL.write(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | wrong))
    with pytest.raises(UserError, match=r"preprocessor_config\.json"):
        layout_of(tmp_path, tokens=4)


def test_tiles_are_cut_by_rows():
    picture = Image.fromarray(np.kron(np.arange(4, dtype=np.uint8).reshape(2, 2), np.ones((16, 16), np.uint8)))
    tiles = ImageLayout(tile=16, tokens=1, size=32).tiles(picture.convert("RGB"))
    assert [int(tile.mean()) for tile in tiles[:4]] == [0, 1, 2, 3]
    assert math.isclose(tiles[4].mean(), 1.5, abs_tol=0.1)
