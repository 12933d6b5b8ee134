"""Frames of a stream to pixels or features, in the order in which their tokens stand in a batch.

A frame is one tile: stretched to it (or, with letterbox, padded to a square first), never cut. Pixels are those of
the family's own processor of pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from prospect.conversation.sample import Frames
from prospect.errors import UserError
from prospect.models.layout import Layout


@dataclass(frozen=True)
class FrameLayout:
    """Picklable, so that workers can run it."""

    images: Layout  # of a single tile

    def inputs(self, frames: Sequence[Frames]) -> dict[str, Tensor]:
        """What the model's forward takes for all frames of a batch: `frame_pixels`, or `frame_features`."""
        stored = [span for span in frames if span.features is not None]
        if not frames:
            return {}
        if not stored:
            count = sum(len(span) for span in frames)
            return {"frame_pixels": self.pixels((p for span in frames for p in span.pictures()), count)}
        if len(stored) < len(frames):
            raise UserError("some clips of a batch have features and some only frames: encode all, or use none")
        return {"frame_features": torch.from_numpy(np.concatenate([*_features(stored)]))}

    def pixels(self, pictures: Iterable[Image.Image], count: int) -> Tensor:
        """(count, 3, tile, tile), normalised. One decoded picture at a time is held."""
        scale, shift = self._line()
        # NumPy's large arrays lie in huge pages, torch's do not: mapping small ones takes twice as long as the rest.
        x_NCHW = torch.from_numpy(np.empty((count, 3, self.images.tile, self.images.tile), np.float32))
        for x_CHW, picture in zip(x_NCHW, pictures, strict=True):
            pixels_HWC = torch.from_numpy(self._tile(picture))
            x_CHW.copy_(pixels_HWC.permute(2, 0, 1)).mul_(scale).add_(shift)
        return x_NCHW

    def _tile(self, picture: Image.Image) -> np.ndarray:
        if picture.size == (self.images.tile,) * 2:
            return np.array(picture)  # a copy: torch wants memory that it may write to
        return np.array(self.images.frame(picture))

    def _line(self) -> tuple[Any, Any]:
        """byte · scale + shift = (byte / 255 - mean) / std; plain numbers where all channels agree, which is faster."""
        scale = [1 / (255 * std) for std in self.images.std]
        shift = [-mean / std for mean, std in zip(self.images.mean, self.images.std, strict=True)]
        if len(set(scale)) == len(set(shift)) == 1:
            return scale[0], shift[0]
        return torch.tensor(scale).view(3, 1, 1), torch.tensor(shift).view(3, 1, 1)


def frame_layout(images: Layout) -> FrameLayout:
    return FrameLayout(images.of_frames())


def _features(spans: Iterable[Frames]) -> Iterator[np.ndarray]:
    """Turns cut a clip into spans of a few frames, one behind the other: a read each would cost more than the copy."""
    source, start, stop = None, 0, 0
    for span in spans:
        if span.blank:
            raise UserError("blanked frames need the frames themselves: features are already made of the true pixels")
        if span.features is not source or span.start != stop:
            if source is not None:
                yield source.features(start, stop)
            source, start = span.features, span.start
        stop = span.stop
    assert source is not None
    yield source.features(start, stop)
