"""Small pictures of frames as data URIs, for pages that stand alone."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Iterator
from typing import Any, Literal

from PIL import Image

from prospect.conversation.sample import Sample


def thumbnails(sample: Sample, wanted: Collection[int], edge: int) -> Iterator[tuple[int, str]]:
    """(frame, data URI) of those of the wanted frames that the sample shows, in order; none of features alone."""
    for frames in sample.frames:
        if frames.store is None:
            continue
        for frame in sorted(number for number in wanted if frames.start <= number < frames.stop):
            for picture in frames.part(frame, frame + 1).pictures():
                yield frame, thumbnail(picture, edge)


def evenly(numbers: list[int], count: int) -> list[int]:
    """So many of them, each from the middle of an equal stretch; all where there are no more."""
    if len(numbers) <= count:
        return numbers
    return [numbers[(2 * place + 1) * len(numbers) // (2 * count)] for place in range(count)]


def thumbnail(picture: Image.Image, edge: int) -> str:
    """Drawings that fit as they are keep every pixel, larger pictures become JPEG."""
    is_small, picture = max(picture.size) <= edge, picture.convert("RGB")
    picture.thumbnail((edge, edge))
    return data_uri(picture, "PNG", optimize=True) if is_small else data_uri(picture, "JPEG", quality=75)


def data_uri(picture: Image.Image, kind: Literal["PNG", "JPEG"] = "PNG", **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64," + base64.b64encode(buffer.getvalue()).decode()
