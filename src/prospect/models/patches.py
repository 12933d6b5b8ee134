"""How pictures become placeholder tokens and pixels: the rules of Qwen-VL's image processor, spelled out.

A picture keeps its proportions: its edges are rounded to whole tokens (`patch` × `merge` pixels), within limits of its
number of pixels. The model takes patches, each flattened with its channels and, a picture being a film of one moment,
`temporal` times over. A frame of a stream is a square of `tile` pixels, stretched or padded to it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from prospect.conversation.sample import Picture
from prospect.conversation.segments import Segment
from prospect.errors import UserError
from prospect.models.images import SETTINGS_FILE, framed
from prospect.models.mrope import positions
from prospect.models.qwen3_vl_words import IMAGE, VISION_END, VISION_START

BICUBIC = 3
FRAME = 256  # pixels, where a folder says nothing: 8 × 8 tokens of the published models
SLIMMEST = 200  # transformers' limit of the longer edge by the shorter


@dataclass(frozen=True)
class PatchSettings:
    """What a user may change about pictures and frames; None keeps what the model's folder says."""

    min_pixels: int | None = None
    max_pixels: int | None = None
    frame: int | None = None
    letterbox: bool | None = None


@dataclass(frozen=True)
class PatchLayout:
    """Image settings of one model. `letterbox` pads frames to a square with the neutral colour; it stretches them else.

    `image_id` is the token that stands for a part of a picture.
    """

    image_id: int
    patch: int = 16  # edge in pixels
    merge: int = 2  # patches a side that make one token
    temporal: int = 2
    smallest: int = 65536  # pixels of a picture
    largest: int = 16777216
    tile: int = FRAME
    letterbox: bool = False
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    resample: int = BICUBIC

    def __post_init__(self) -> None:
        if not self.unit**2 <= self.largest or self.smallest > self.largest:
            raise UserError(
                f"image.max_pixels {self.largest} must be at least image.min_pixels {self.smallest} and one token "
                f"({self.unit} × {self.unit} pixels)"
            )
        if self.tile < 1 or self.tile % self.unit:
            raise UserError(f"image.frame {self.tile} must be a multiple of {self.unit} pixels, the edge of a token")

    def adjusted(self, settings: PatchSettings | None) -> PatchLayout:
        """This layout with the user's settings in place."""
        names = {"min_pixels": "smallest", "max_pixels": "largest", "frame": "tile", "letterbox": "letterbox"}
        chosen = {key: value for key, value in vars(settings or PatchSettings()).items() if value is not None}
        return replace(self, **{names[key]: value for key, value in chosen.items()})

    @property
    def unit(self) -> int:
        """Edge of a token in pixels."""
        return self.patch * self.merge

    @property
    def side(self) -> int:
        return self.tile // self.unit

    def size(self, picture: Picture) -> tuple[int, int]:
        """(height, width) in pixels to which a picture is scaled: whole tokens, as many pixels as are allowed."""
        width, height = picture.size()
        if max(width, height) > SLIMMEST * min(width, height):
            raise UserError(f"picture {picture.name} is {width} × {height}: over {SLIMMEST} times longer than wide")
        down, across = (round(edge / self.unit) for edge in (height, width))
        pixels = down * across * self.unit**2
        if pixels > self.largest:
            scale = math.sqrt(height * width / self.largest)  # in transformers' order: the rounding is theirs, too
            down, across = (max(1, math.floor(edge / scale / self.unit)) for edge in (height, width))
        elif pixels < self.smallest:
            scale = math.sqrt(self.smallest / (height * width))
            down, across = (math.ceil(edge * scale / self.unit) for edge in (height, width))
        return down * self.unit, across * self.unit

    def block(self, picture: Picture) -> tuple[int, int]:
        """(down, across): the tokens of a picture. Only the header of its file is read."""
        height, width = self.size(picture)
        return height // self.unit, width // self.unit

    def features(self, picture: Picture) -> int:
        down, across = self.block(picture)
        return down * across

    def segments(self, picture: Picture) -> list[Segment]:
        return [Segment(f"{VISION_START}{IMAGE * self.features(picture)}{VISION_END}", control=True)]

    def pixels(self, pictures: list[Picture]) -> dict[str, Tensor]:
        """Patches of all pictures, one behind the other, and the patches of each as (1, down, across)."""
        if not pictures:
            return {}
        made = [patches(self._normalised(picture)[None], self.patch, self.merge, self.temporal) for picture in pictures]
        grids = [(1, down * self.merge, across * self.merge) for down, across in map(self.block, pictures)]
        return {"pixel_values": torch.cat(made), "image_grid_thw": torch.tensor(grids)}

    def _normalised(self, picture: Picture) -> Tensor:
        """(3, height, width)."""
        height, width = self.size(picture)
        pixels_HWC = np.asarray(self._resized(picture.open(), height, width))
        x_CHW = torch.from_numpy(pixels_HWC.copy()).permute(2, 0, 1).float() / 255
        return (x_CHW - torch.tensor(self.mean).view(3, 1, 1)) / torch.tensor(self.std).view(3, 1, 1)

    def places(self, ids_BT: Tensor, attention_BT: Tensor, pictures: list[Picture]) -> dict[str, Tensor]:
        """Positions in time, height and width; of text alone they are those that any model has."""
        if not pictures:
            return {}
        blocks = [self.block(picture) for picture in pictures]
        return {"position_ids": positions(ids_BT == self.image_id, attention_BT, blocks)}

    def of_frames(self) -> PatchLayout:
        return self

    def frame(self, picture: Image.Image) -> np.ndarray:
        """A frame of a stream as (tile, tile, 3), 8 bits a channel."""
        if self.letterbox:
            picture = framed(picture, self.mean)
        return np.asarray(self._resized(picture, self.tile, self.tile))

    def _resized(self, picture: Image.Image, height: int, width: int) -> Image.Image:
        return picture.resize((width, height), resample=Image.Resampling(self.resample))

    def write(self, folder: Path) -> None:
        """Settings as transformers keeps them: AutoImageProcessor reads them with Pillow or with torchvision."""
        record = {
            "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": "Qwen3VLProcessor",
            **dict.fromkeys(_ALWAYS, True),
            "patch_size": self.patch,
            "merge_size": self.merge,
            "temporal_patch_size": self.temporal,
            "size": {"shortest_edge": self.smallest, "longest_edge": self.largest},
            "image_mean": list(self.mean),
            "image_std": list(self.std),
            "resample": int(self.resample),
            "rescale_factor": 1 / 255,
            "frame_size": self.tile,
            "letterbox": self.letterbox,
        }
        (folder / SETTINGS_FILE).write_text(json.dumps(record, indent=2) + "\n")


_ALWAYS = ("do_convert_rgb", "do_normalize", "do_rescale", "do_resize")


def patch_layout_of(folder: Path, image_id: int) -> PatchLayout:
    """The image settings of a model folder."""
    path = folder / SETTINGS_FILE
    if not path.is_file():
        raise UserError(f"{folder} holds no {SETTINGS_FILE}, so it isn't known how pictures must be prepared")
    record: dict[str, Any] = json.loads(path.read_text())
    off = [key for key in _ALWAYS if not record.get(key, True)]
    if off or not math.isclose(record.get("rescale_factor", 1 / 255), 1 / 255):
        wrong = ", ".join(off) or "rescale_factor"
        raise UserError(f"{path}: pictures must be resized, scaled to [0, 1] and normalised; mend {wrong}")
    try:
        return PatchLayout(
            image_id=image_id,
            patch=record["patch_size"],
            merge=record["merge_size"],
            temporal=record["temporal_patch_size"],
            smallest=record["size"]["shortest_edge"],
            largest=record["size"]["longest_edge"],
            tile=record.get("frame_size", FRAME),
            letterbox=record.get("letterbox", False),
            mean=tuple(record["image_mean"]),
            std=tuple(record["image_std"]),
            resample=record.get("resample", BICUBIC),
        )
    except KeyError as error:
        raise UserError(f"{path} lacks {error}; it is no image configuration of Qwen-VL") from error


def patches(x_NCHW: Tensor, patch: int, merge: int, temporal: int) -> Tensor:
    """(N · patches, C · temporal · patch²): those that make one token stand together, the tokens by rows."""
    count, channels, height, width = x_NCHW.shape
    down, across = height // patch // merge, width // patch // merge
    x = x_NCHW.reshape(count, channels, down, merge, patch, across, merge, patch)
    x = x.permute(0, 2, 5, 3, 6, 1, 4, 7)  # N, down, across, merge, merge, C, patch, patch
    x = x.unsqueeze(6).expand(*x.shape[:6], temporal, *x.shape[6:])
    return x.reshape(count * down * merge * across * merge, channels * temporal * patch * patch)
