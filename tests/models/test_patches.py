"""Placeholders, pixels and positions of Qwen-VL's pictures are those of transformers, whatever their shape."""

import json
from random import Random

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from prospect.conversation.sample import BLANK_GREY, Picture
from prospect.errors import UserError
from prospect.models.frames import frame_layout
from prospect.models.patches import PatchLayout, PatchSettings, patch_layout_of, patches
from prospect.models.tiny_qwen3_vl import tiny_qwen3_vl

SMALL = PatchLayout(image_id=7, patch=4, smallest=256, largest=4096, tile=16)
SIDES = st.integers(1, 150)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.frombytes("RGB", (width, height), Random(seed).randbytes(3 * width * height))


def reference(layout: PatchLayout, pictures: list[Image.Image]) -> dict:
    processor = Qwen2VLImageProcessorPil(
        size={"shortest_edge": layout.smallest, "longest_edge": layout.largest},
        patch_size=layout.patch,
        merge_size=layout.merge,
        temporal_patch_size=layout.temporal,
        image_mean=list(layout.mean),
        image_std=list(layout.std),
        resample=layout.resample,
    )
    return processor(pictures, return_tensors="pt")


@given(SIDES, SIDES, st.sampled_from([2, 3]), st.integers(1, 12), st.integers(12, 60))
@settings(max_examples=80, deadline=None)
def test_grid_and_pixels_are_those_of_transformers(width, height, merge, least, most):
    unit = (4 * merge) ** 2
    layout = PatchLayout(
        7, 4, merge, 2, least * unit, most * unit, tile=4 * merge, mean=(0.3, 0.5, 0.7), std=(0.2, 0.5, 0.4)
    )
    pictures = [noise(width, height), noise(30, 20, 1)]
    expected = reference(layout, pictures)
    got = layout.pixels([Picture(picture) for picture in pictures])
    assert got["image_grid_thw"].tolist() == expected["image_grid_thw"].tolist()
    assert got["pixel_values"].shape == expected["pixel_values"].shape
    assert (got["pixel_values"] - expected["pixel_values"]).abs().max() <= 1e-6


@given(SIDES, SIDES)
@settings(max_examples=40, deadline=None)
def test_placeholders_count_what_the_model_will_see(width, height):
    picture = Picture(noise(width, height))
    (segment,) = SMALL.segments(picture)
    assert segment.control
    tokens = segment.text.removeprefix("<|vision_start|>").removesuffix("<|vision_end|>")
    count = SMALL.pixels([picture])["image_grid_thw"].prod().item() // 4
    assert tokens == "<|image_pad|>" * count
    assert SMALL.features(picture) == count


@given(
    rows=st.lists(st.lists(st.tuples(SIDES, SIDES), max_size=3), min_size=1, max_size=4),
    left=st.booleans(),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_positions_are_those_of_transformers(qwen, rows, left, data):
    """Rows of words and pictures in turn, padded at either side."""
    pictures = [Picture(noise(*size)) for row in rows for size in row]
    assume(pictures)
    layout = PatchLayout(qwen.image_token_id, 4, smallest=64, largest=1024, tile=8)
    queue, written = iter(pictures), []
    for row in rows:
        ids = [9] * data.draw(st.integers(1, 5))
        for _ in row:
            ids += [qwen.image_token_id] * layout.features(next(queue)) + [9] * data.draw(st.integers(1, 5))
        written.append(ids)
    length = max(map(len, written))
    ids = torch.tensor([[3] * (length - len(r)) + r if left else r + [3] * (length - len(r)) for r in written])
    attention = (ids != 3).long()
    got = layout.places(ids, attention, pictures)["position_ids"]
    slots = (ids == qwen.image_token_id).int()
    grids = layout.pixels(pictures)["image_grid_thw"]
    expected, _ = qwen.model.model.get_rope_index(ids, slots, image_grid_thw=grids, attention_mask=attention)
    assert got.tolist() == expected.tolist()


@pytest.fixture(scope="module")
def qwen():
    return tiny_qwen3_vl(device="cpu")


def test_text_alone_has_the_positions_of_any_text():
    assert SMALL.places(torch.ones(1, 4), torch.ones(1, 4), []) == {} == SMALL.pixels([])


def test_a_frame_is_a_picture_of_its_size():
    """The model cuts frames into patches itself; they are those that a picture would have."""
    layout = frame_layout(SMALL)
    x = layout.pixels([noise(16, 16, seed) for seed in range(3)], 3)
    assert x.shape == (3, 3, 16, 16)
    got = patches(x, SMALL.patch, SMALL.merge, SMALL.temporal)
    expected = reference(SMALL, [noise(16, 16, seed) for seed in range(3)])["pixel_values"]
    assert (got - expected).abs().max() <= 1e-6


def test_frames_are_stretched_or_padded():
    wide = Image.new("RGB", (40, 20), (255, 255, 255))
    assert frame_layout(SMALL).pixels([wide], 1).min() > 0.99
    padded = frame_layout(SMALL.adjusted(PatchSettings(letterbox=True))).pixels([wide], 1)[0]
    assert padded[:, :2].abs().max() < 5e-2
    assert padded[:, 6:10].min() > 0.9


def test_blank_pictures_keep_their_size():
    pixels = SMALL.pixels([Picture(noise(40, 20), blank=True)])
    assert pixels["pixel_values"].unique().tolist() == pytest.approx([BLANK_GREY / 127.5 - 1])
    assert pixels["image_grid_thw"].tolist() == SMALL.pixels([Picture(noise(40, 20))])["image_grid_thw"].tolist()


def test_settings_survive_a_folder(tmp_path):
    layout = SMALL.adjusted(PatchSettings(min_pixels=64, max_pixels=2048, frame=24, letterbox=True))
    assert (layout.smallest, layout.largest, layout.tile) == (64, 2048, 24)
    layout.write(tmp_path)
    assert patch_layout_of(tmp_path, image_id=7) == layout
    assert SMALL.adjusted(PatchSettings()) == SMALL == SMALL.adjusted(None)


@pytest.mark.parametrize(
    ("asked", "word"),
    [({"max_pixels": 63}, "at least"), ({"min_pixels": 5000}, "at least"), ({"frame": 20}, "multiple")],
)
def test_sizes_that_cannot_be_are_refused(asked, word):
    with pytest.raises(UserError, match=word):
        SMALL.adjusted(PatchSettings(**asked))


def test_a_line_is_no_picture():
    with pytest.raises(UserError, match=r"picture \(in memory\) is 401 × 2: over 200 times"):
        SMALL.pixels([Picture(noise(401, 2))])


@pytest.mark.parametrize("wrong", [{"do_normalize": False}, {"rescale_factor": 1.0}, {"size": {"height": 3}}])
def test_other_ways_to_prepare_pictures_are_refused(tmp_path, wrong):
    SMALL.write(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | wrong))
    with pytest.raises(UserError, match=r"preprocessor_config\.json"):
        patch_layout_of(tmp_path, image_id=7)
