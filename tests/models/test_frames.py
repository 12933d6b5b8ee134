"""Pixels of frames are those of transformers' processor, in the order of the frames, from pictures or from a store."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from prospect.conversation.sample import BLANK_GREY, Frames
from prospect.errors import UserError
from prospect.models.frames import frame_layout
from prospect.models.images import ImageLayout
from prospect.models.tiny import tiny

LAYOUT = ImageLayout(tile=16, tokens=4, size=64)


@dataclass(frozen=True)
class Store:
    """Frame n of a video, drawn from n."""

    def decoded(self, start: int, stop: int) -> Iterator[Image.Image]:
        return (noise(16, 16, seed) for seed in range(start, stop))


@dataclass(frozen=True)
class Made:
    def features(self, start: int, stop: int) -> np.ndarray:
        values = np.arange(start, stop, dtype=np.float16).reshape(-1, 1, 1).repeat(2, axis=1).repeat(3, axis=2)
        values.flags.writeable = False
        return values


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.frombytes("RGB", (width, height), Random(seed).randbytes(3 * width * height))


def reference(layout: ImageLayout, pictures: list[Image.Image]) -> torch.Tensor:
    processor = SmolVLMImageProcessorPil(
        size={"longest_edge": layout.tile},
        max_image_size={"longest_edge": layout.tile},
        image_mean=list(layout.mean),
        image_std=list(layout.std),
        resample=layout.resample,
        do_image_splitting=False,
    )
    return processor([pictures], return_tensors="pt")["pixel_values"][0]


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([(0.5, 0.5, 0.5), (0.3, 0.5, 0.7)]))
@settings(max_examples=60, deadline=None)
def test_pixels_are_those_of_transformers(width, height, mean):
    layout = ImageLayout(tile=16, tokens=4, size=64, mean=mean, std=(0.5, mean[1], 0.5))
    pictures = [noise(width, height, seed) for seed in range(2)]
    got = frame_layout(layout).pixels(pictures, 2)
    assert (got - reference(layout, pictures)).abs().max() <= 1e-6
    assert got.is_contiguous()


def test_every_byte_of_a_frame_that_fits():
    picture = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert("RGB")
    got = frame_layout(LAYOUT).pixels([picture], 1)
    assert (got - reference(LAYOUT, [picture])).abs().max() <= 1e-6


def test_splitting_and_sizes_of_pictures_do_not_concern_frames():
    assert frame_layout(LAYOUT) == frame_layout(ImageLayout(tile=16, tokens=4, size=16, split=False))


def test_letterbox_is_that_of_pictures():
    layout = ImageLayout(tile=16, tokens=4, size=16, split=False, letterbox=True)
    x = frame_layout(layout).pixels([Image.new("RGB", (40, 20), (255, 255, 255))], 1)[0]
    assert x[:, :2].abs().max() < 5e-2
    assert x[:, 6:10].min() > 0.9


def test_frames_of_a_batch_in_order():
    inputs = frame_layout(LAYOUT).inputs([Frames(3, 5, Store()), Frames(0, 0, Store()), Frames(9, 10, Store())])
    expected = frame_layout(LAYOUT).pixels([noise(16, 16, seed) for seed in (3, 4, 9)], 3)
    assert inputs.keys() == {"frame_pixels"}
    assert torch.equal(inputs["frame_pixels"], expected)
    assert frame_layout(LAYOUT).inputs([]) == {}


def test_blanked_frames_have_one_grey_and_nothing_else():
    x = frame_layout(LAYOUT).inputs([Frames(0, 2, Store(), blank=True)])["frame_pixels"]
    assert x.unique().tolist() == pytest.approx([BLANK_GREY / 127.5 - 1])


def test_features_are_read_instead_of_frames():
    inputs = frame_layout(LAYOUT).inputs([Frames(3, 5, features=Made()), Frames(9, 10, Store(), features=Made())])
    assert inputs.keys() == {"frame_features"}
    assert inputs["frame_features"][:, 0, 0].tolist() == [3, 4, 9]
    inputs["frame_features"] += 1  # it may be written to, though the store's pages may not


def test_spans_of_one_clip_are_one_read():
    class Counted(Made):
        reads: ClassVar[list[tuple[int, int]]] = []

        def features(self, start: int, stop: int) -> np.ndarray:
            self.reads.append((start, stop))
            return super().features(start, stop)

    one, other = Counted(), Counted()
    spans = [(one, 3, 5), (one, 5, 6), (one, 6, 8), (one, 9, 10), (other, 10, 12), (one, 12, 13)]
    inputs = frame_layout(LAYOUT).inputs([Frames(start, stop, features=made) for made, start, stop in spans])
    assert inputs["frame_features"][:, 0, 0].tolist() == [3, 4, 5, 6, 7, 9, 10, 11, 12]
    assert Counted.reads == [(3, 8), (9, 10), (10, 12), (12, 13)]


def test_batches_of_both_and_blank_features_are_refused():
    with pytest.raises(UserError, match="some clips of a batch have features"):
        frame_layout(LAYOUT).inputs([Frames(0, 1, Store()), Frames(0, 1, features=Made())])
    with pytest.raises(UserError, match="blanked frames need the frames themselves"):
        frame_layout(LAYOUT).inputs([Frames(0, 1, features=Made(), blank=True)])


def test_it_travels_to_workers_without_the_model():
    vlm = tiny(device="cpu")
    layout = copy.deepcopy(vlm.frame_layout)
    spans = [Frames(0, 2, Store())]
    assert torch.equal(layout.inputs(spans)["frame_pixels"], vlm.frame_inputs(spans)["frame_pixels"])
