"""C8: a batch of 384-px frames to pixel values, against transformers' processor on the same pictures."""

from __future__ import annotations

from random import Random

import torch
from PIL import Image
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from bench.measure import Measured, side_by_side
from prospect.models.frames import frame_layout
from prospect.models.images import ImageLayout

EDGE, FRAMES = 384, 32


def measure() -> list[Measured]:
    torch.set_num_threads(1)
    pictures = [Image.frombytes("RGB", (EDGE, EDGE), Random(n).randbytes(3 * EDGE**2)) for n in range(FRAMES)]
    layout = frame_layout(ImageLayout(tile=EDGE, tokens=81, size=4 * EDGE))
    processor = SmolVLMImageProcessorPil(
        size={"longest_edge": EDGE}, max_image_size={"longest_edge": EDGE}, do_image_splitting=False
    )

    def ours() -> torch.Tensor:
        return layout.pixels(pictures, FRAMES)

    def theirs() -> torch.Tensor:
        return processor([pictures], return_tensors="pt")["pixel_values"][0]

    difference = (ours() - theirs()).abs().max().item()
    mine, stock = side_by_side(ours, theirs, rounds=5)
    detail = f"{mine / FRAMES * 1e3:.2f} ms a frame against {stock / FRAMES * 1e3:.2f}"
    return [
        Measured("C8 frames to pixels", stock / mine, 5.0, True, detail),
        Measured("C8 largest difference", difference, 1e-6, False, "of normalised pixels", unit=""),
    ]
