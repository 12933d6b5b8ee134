"""How pictures become placeholder tokens and pixels: the rules of SmolVLM's image processor, spelled out.

A picture is scaled so that its longest edge is `size`. With `split` it is then scaled up to whole tiles and cut, row by
row, and a view of the whole picture follows as the last tile; without it the whole picture is one tile. Tokens follow
from the picture's size alone, so a sample can be counted and checked before any picture is decoded. Pixels are always
computed with Pillow: the same numbers on every machine, whether torchvision is installed or not.
"""

from __future__ import annotations

import json
import logging
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

log = logging.getLogger(__name__)

SETTINGS_FILE = "preprocessor_config.json"
PROCESSOR_FILE = "processor_config.json"
GRID = 6  # SmolVLM2 has tokens <row_1_col_1> … <row_6_col_6>, so no picture may have more rows or columns of tiles
LONGEST = 4096  # transformers' absolute limit of an edge
NEARLY_ZERO = 1e-7  # SmolVLM takes a tile of exact zeros for padding and drops it; also the smallest step in float16
LANCZOS = 1

FAKE, GLOBAL, IMAGE = "<fake_token_around_image>", "<global-img>", "<image>"


@dataclass(frozen=True)
class ImageSettings:
    """What a user may change about pictures; None keeps what the model's folder says."""

    split: bool | None = None
    size: int | None = None
    letterbox: bool | None = None


@dataclass(frozen=True)
class ImageLayout:
    """Image settings of one model.

    `letterbox` first pads a picture to a square with the model's neutral colour (the one whose pixels become 0), so
    that shapes keep their proportions. SmolVLM itself doesn't: it stretches every picture to its tiles.
    """

    tile: int  # edge of a tile in pixels
    tokens: int  # image tokens a tile
    size: int  # longest edge in pixels to which a picture is scaled before tiling
    split: bool = True
    letterbox: bool = False
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    resample: int = LANCZOS

    def __post_init__(self) -> None:
        if not 1 <= self.size <= LONGEST:
            raise UserError(f"image.size must lie between 1 and {LONGEST} pixels, not {self.size}")
        if self.split and math.ceil(self.size / self.tile) > GRID:
            raise UserError(
                f"image.size {self.size} would cut a picture into more than {GRID} rows or columns of {self.tile}-px "
                f"tiles, for which the model has no tokens; use at most {GRID * self.tile}, or image.split=false"
            )

    def adjusted(self, settings: ImageSettings | None) -> ImageLayout:
        """This layout with the user's settings in place."""
        chosen = {key: value for key, value in vars(settings or ImageSettings()).items() if value is not None}
        layout = replace(self, **chosen)
        if "size" in chosen and layout.size < layout.tile:
            log.warning(
                "image.size=%d is smaller than a tile (%d px): pictures lose detail and not one token is saved; "
                "image.split=false is what saves tokens",
                layout.size,
                layout.tile,
            )
        return layout

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """(rows, columns) of tiles of a picture, (0, 0) when it is a single tile."""
        if not self.split:
            return 0, 0
        height, width = _whole_tiles(*_scaled(*self._framed(width, height), self.size), self.tile)
        if height <= self.tile and width <= self.tile:
            return 0, 0
        return height // self.tile, width // self.tile

    @property
    def side(self) -> int:
        """Edge of the grid of tokens that a tile, and so a frame of a stream, is made of."""
        return math.isqrt(self.tokens)

    def of_frames(self) -> ImageLayout:
        """A frame is one tile, never cut."""
        return replace(self, split=False, size=self.tile)

    def frame(self, picture: Image.Image) -> np.ndarray:
        """A frame of a stream as (tile, tile, 3), 8 bits a channel; what is asked is `of_frames`."""
        return self.tiles(picture)[0]

    def places(self, ids_BT: Tensor, attention_BT: Tensor, pictures: list[Picture]) -> dict[str, Tensor]:
        """Positions where they are not those of any text; here a picture's tokens count like words."""
        return {}

    def features(self, picture: Picture) -> int:
        """Image features that the model will make of a picture: those of every tile and of the whole."""
        rows, columns = self.grid(*picture.size())
        return (rows * columns + 1) * self.tokens

    def segments(self, picture: Picture) -> list[Segment]:
        """The placeholders of one picture. Only the header of its file is read."""
        rows, columns = self.grid(*picture.size())
        whole = Segment(f"{FAKE}{GLOBAL}{IMAGE * self.tokens}{FAKE}", control=True)
        if rows == 0:
            return [whole]
        segments = []
        for row in range(1, rows + 1):
            line = "".join(f"{FAKE}<row_{row}_col_{col}>{IMAGE * self.tokens}" for col in range(1, columns + 1))
            segments += [Segment(line, control=True), Segment("\n" if row < rows else "\n\n")]
        return [*segments, whole]

    def pixels(self, pictures: list[Picture]) -> dict[str, Tensor]:
        """Normalised tiles of all pictures in one leading row: the model flattens anyway, so none is padding."""
        if not pictures:
            return {}
        tiles_THWC = np.stack([tile for picture in pictures for tile in self.tiles(picture.open())])
        x_TCHW = torch.from_numpy(tiles_THWC).permute(0, 3, 1, 2).float() / 255
        x_TCHW = (x_TCHW - torch.tensor(self.mean).view(3, 1, 1)) / torch.tensor(self.std).view(3, 1, 1)
        empty_T = x_TCHW.abs().amax((1, 2, 3)) < NEARLY_ZERO
        x_TCHW[empty_T, 0, 0, 0] = NEARLY_ZERO
        mask_THW = torch.ones(x_TCHW.shape[0], *x_TCHW.shape[2:], dtype=torch.bool)
        return {"pixel_values": x_TCHW.contiguous()[None], "pixel_attention_mask": mask_THW[None]}

    def tiles(self, picture: Image.Image) -> list[np.ndarray]:
        """Tiles of an RGB picture by rows, the whole picture last; each (tile, tile, 3), 8 bits a channel."""
        if self.letterbox:
            picture = framed(picture, self.mean)
        height, width = _scaled(picture.width, picture.height, self.size)
        picture = self._resized(picture, height, width)
        if not self.split:
            return [np.asarray(self._resized(picture, self.tile, self.tile))]
        height, width = _whole_tiles(height, width, self.tile)
        picture = self._resized(picture, height, width)
        if height <= self.tile and width <= self.tile:
            return [np.asarray(picture)]
        whole = np.asarray(self._resized(picture, self.tile, self.tile))
        pixels_HWC = np.asarray(picture)
        corners = [(y, x) for y in range(0, height, self.tile) for x in range(0, width, self.tile)]
        return [pixels_HWC[y : y + self.tile, x : x + self.tile] for y, x in corners] + [whole]

    def _resized(self, picture: Image.Image, height: int, width: int) -> Image.Image:
        return picture.resize((width, height), resample=Image.Resampling(self.resample))

    def _framed(self, width: int, height: int) -> tuple[int, int]:
        return (max(width, height),) * 2 if self.letterbox else (width, height)

    def write(self, folder: Path) -> None:
        """Settings as transformers keeps them: AutoImageProcessor reads them with Pillow or with torchvision."""
        record = {
            "image_processor_type": "SmolVLMImageProcessor",
            "processor_class": "SmolVLMProcessor",
            **dict.fromkeys(_ALWAYS, True),
            "do_image_splitting": self.split,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
            "letterbox": self.letterbox,
            "max_image_size": {"longest_edge": self.tile},
            "resample": int(self.resample),
            "rescale_factor": 1 / 255,
            "size": {"longest_edge": self.size},
            # Nothing here reads videos, but transformers' own processor only loads where these are given.
            "video_sampling": {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": self.tile}},
        }
        _write(folder / SETTINGS_FILE, record)
        _write(folder / PROCESSOR_FILE, {"image_seq_len": self.tokens, "processor_class": "SmolVLMProcessor"})


def tokens_a_tile(config: Any) -> int:
    patches = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
    return patches // config.scale_factor**2


_ALWAYS = ("do_convert_rgb", "do_normalize", "do_pad", "do_rescale", "do_resize")


def layout_of(folder: Path, tokens: int) -> ImageLayout:
    """The image settings of a model folder; `tokens` a tile follow from its architecture."""
    path = folder / SETTINGS_FILE
    if not path.is_file():
        raise UserError(f"{folder} holds no {SETTINGS_FILE}, so it isn't known how pictures must be prepared")
    record: dict[str, Any] = json.loads(path.read_text())
    off = [key for key in _ALWAYS if not record.get(key, True)]
    if off or not math.isclose(record.get("rescale_factor", 1 / 255), 1 / 255):
        wrong = ", ".join(off) or "rescale_factor"
        raise UserError(f"{path}: pictures must be resized, scaled to [0, 1] and normalised; mend {wrong}")
    try:
        return ImageLayout(
            tile=record["max_image_size"]["longest_edge"],
            tokens=tokens,
            size=record["size"]["longest_edge"],
            split=record["do_image_splitting"],
            letterbox=record.get("letterbox", False),
            mean=tuple(record["image_mean"]),
            std=tuple(record["image_std"]),
            resample=record["resample"],
        )
    except KeyError as error:
        raise UserError(f"{path} lacks {error}; it is no image configuration of SmolVLM") from error


def framed(picture: Image.Image, mean: tuple[float, ...]) -> Image.Image:
    """A picture in the middle of a square of the neutral colour, the one whose pixels become 0."""
    side = max(picture.size)
    square = Image.new("RGB", (side, side), tuple(round(255 * channel) for channel in mean))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square


def _write(path: Path, record: dict[str, Any]) -> None:
    path.write_text(json.dumps(record, indent=2) + "\n")


def _scaled(width: int, height: int, longest: int) -> tuple[int, int]:
    """(height, width) once the longest edge is `longest`; the other edge is made even. transformers' own rounding."""
    ratio = width / height
    if width >= height:
        short = int(longest / ratio)
        return max(short + short % 2, 1), longest
    short = int(longest * ratio)
    return longest, max(short + short % 2, 1)


def _whole_tiles(height: int, width: int, tile: int) -> tuple[int, int]:
    """(height, width) in whole tiles: the longer edge first, the other from the ratio, each rounded up."""
    ratio = width / height
    if width >= height:
        width = math.ceil(width / tile) * tile
        return math.ceil(max(int(width / ratio), 1) / tile) * tile, width
    height = math.ceil(height / tile) * tile
    return height, math.ceil(max(int(height * ratio), 1) / tile) * tile
