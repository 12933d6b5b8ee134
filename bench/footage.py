"""Frames of the size of real ones, made up: what the claims about stores are measured on."""

from __future__ import annotations

import io
from random import Random

from PIL import Image

EDGE, CLIP = 384, 300


def jpegs(count: int, edge: int = EDGE, quality: int = 85) -> list[bytes]:
    """Smooth pictures with detail, about 25 kB each at the edge of real ones."""
    return [_jpeg(Random(n), edge, quality) for n in range(count)]


def _jpeg(random: Random, edge: int, quality: int) -> bytes:
    coarse = Image.frombytes("RGB", (16, 16), random.randbytes(3 * 16**2)).resize(
        (edge, edge), Image.Resampling.BICUBIC
    )
    detail = Image.frombytes("RGB", (edge // 4,) * 2, random.randbytes(3 * (edge // 4) ** 2)).resize((edge, edge))
    file = io.BytesIO()
    Image.blend(coarse, detail, 0.12).save(file, "JPEG", quality=quality)
    return file.getvalue()
