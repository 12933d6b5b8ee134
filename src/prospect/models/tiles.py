"""How pictures become placeholder tokens and pixels: the rules of nanoVLM, spelled out.

A picture is scaled to whole tiles: its longer edge is rounded up to them, up to `size`, and the other one follows,
rounded up. A view of the whole picture comes first, then the tiles by rows; what is a single tile is that alone. Pixels
lie in [0, 1] and are not normalised. A frame of a stream is one tile, stretched or padded to it.
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
from torch.nn.functional import interpolate

from prospect.conversation.sample import Picture
from prospect.conversation.segments import Segment
from prospect.errors import UserError
from prospect.models.images import NEARLY_ZERO, SETTINGS_FILE, framed
from prospect.models.nanovlm_words import GLOBAL, GRID, IMAGE, PLACES

BICUBIC = 3
KIND = "NanoVLMImageProcessor"  # none of transformers' prepares pictures like this, and this name says so to them


@dataclass(frozen=True)
class TileSettings:
    """What a user may change about pictures and frames; None keeps what the model's folder says."""

    size: int | None = None
    letterbox: bool | None = None


@dataclass(frozen=True)
class TileLayout:
    """Image settings of one model. `letterbox` pads frames to a square with black; it stretches them else.

    `fill`: small pictures too are scaled up until their longer edge is `size`.
    """

    tile: int  # edge in pixels
    tokens: int  # image tokens a tile
    size: int  # the longest edge that a picture may have
    fill: bool = False
    letterbox: bool = False
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    resample: int = BICUBIC

    def __post_init__(self) -> None:
        if self.size < self.tile or self.size % self.tile or self.size > GRID * self.tile:
            raise UserError(
                f"image.size {self.size} must be a multiple of {self.tile} pixels, the edge of a tile, and at most "
                f"{GRID * self.tile}: the model has tokens for {GRID} rows and columns of tiles"
            )

    def adjusted(self, settings: TileSettings | None) -> TileLayout:
        """This layout with the user's settings in place."""
        chosen = {key: value for key, value in vars(settings or TileSettings()).items() if value is not None}
        return replace(self, **chosen)

    @property
    def side(self) -> int:
        """Edge of the grid of tokens that a tile, and so a frame of a stream, is made of."""
        return math.isqrt(self.tokens)

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """(rows, columns) of tiles of a picture."""
        longer, shorter = max(width, height), min(width, height)
        long = self.size if self.fill else min(self.size, math.ceil(longer / self.tile) * self.tile)
        short = max(math.ceil(shorter * (long / longer) / self.tile), 1)  # in nanoVLM's order: the rounding is its, too
        long = long // self.tile
        return (short, long) if width >= height else (long, short)

    def features(self, picture: Picture) -> int:
        """Image features that the model will make of a picture: those of the whole and of every tile."""
        rows, columns = self.grid(*picture.size())
        return self.tokens * (1 if rows == columns == 1 else 1 + rows * columns)

    def segments(self, picture: Picture) -> list[Segment]:
        """The placeholders of one picture. Only the header of its file is read."""
        rows, columns = self.grid(*picture.size())
        places = [PLACES[f"r{row}c{col}"] for row in range(1, rows + 1) for col in range(1, columns + 1)]
        names = [GLOBAL, *(places if len(places) > 1 else [])]
        return [Segment("".join(name + IMAGE * self.tokens for name in names), control=True)]

    def pixels(self, pictures: list[Picture]) -> dict[str, Tensor]:
        """Tiles of all pictures in one leading row: the model flattens anyway, so none is padding."""
        if not pictures:
            return {}
        x_TCHW = torch.cat([self.tiles(picture.open()) for picture in pictures])
        black_T = x_TCHW.amax((1, 2, 3)) < NEARLY_ZERO  # SmolVLM's class takes a tile of zeros for padding, drops it
        x_TCHW[black_T, 0, 0, 0] = NEARLY_ZERO
        mask_THW = torch.ones(x_TCHW.shape[0], *x_TCHW.shape[2:], dtype=torch.bool)
        return {"pixel_values": x_TCHW[None], "pixel_attention_mask": mask_THW[None]}

    def tiles(self, picture: Image.Image) -> Tensor:
        """(tiles, 3, tile, tile) of an RGB picture, the whole first."""
        rows, columns = self.grid(*picture.size)
        pixels_HWC = np.array(self._resized(picture, rows * self.tile, columns * self.tile))
        x_CHW = torch.from_numpy(pixels_HWC).permute(2, 0, 1).float() / 255
        if rows == columns == 1:
            return x_CHW[None]
        whole = interpolate(x_CHW[None], (self.tile, self.tile), mode="bilinear", align_corners=False, antialias=True)
        cut = x_CHW.unflatten(1, (rows, self.tile)).unflatten(3, (columns, self.tile)).permute(1, 3, 0, 2, 4)
        return torch.cat([whole, cut.flatten(0, 1)])

    def places(self, ids_BT: Tensor, attention_BT: Tensor, pictures: list[Picture]) -> dict[str, Tensor]:
        """Positions where they are not those of any text; here a picture's tokens count like words."""
        return {}

    def of_frames(self) -> TileLayout:
        return self

    def frame(self, picture: Image.Image) -> np.ndarray:
        """A frame of a stream as (tile, tile, 3), 8 bits a channel."""
        if self.letterbox:
            picture = framed(picture, self.mean)
        return np.asarray(self._resized(picture, self.tile, self.tile))

    def _resized(self, picture: Image.Image, height: int, width: int) -> Image.Image:
        return picture.resize((width, height), resample=Image.Resampling(self.resample))

    def write(self, folder: Path) -> None:
        record = {
            "image_processor_type": KIND,
            "size": self.size,
            "fill": self.fill,
            "letterbox": self.letterbox,
        }
        (folder / SETTINGS_FILE).write_text(json.dumps(record, indent=2) + "\n")


def own_tiles(own: dict[str, Any]) -> TileLayout:
    """What nanoVLM's own configuration says of pictures; its first versions never scaled small ones up."""
    fill = own.get("resize_to_max_side_len", False)
    return TileLayout(own["vit_img_size"], own["mp_image_token_length"], own["max_img_size"], fill)


def tile_layout_of(folder: Path, own: dict[str, Any]) -> TileLayout:
    """The image settings of a model folder; without a file of them those of `own`, nanoVLM's own configuration."""
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return own_tiles(own)
    record: dict[str, Any] = json.loads(path.read_text())
    try:
        return replace(own_tiles(own), **{key: record[key] for key in ("size", "fill", "letterbox")})
    except KeyError as error:
        raise UserError(f"{path} lacks {error}; it is no image configuration of nanoVLM") from error
