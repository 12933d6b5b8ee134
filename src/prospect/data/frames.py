"""Frame stores: the JPEG frames of a video, or what a vision tower made of them, by frame number."""

from __future__ import annotations

import binascii
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import pyarrow as pa
from PIL import Image

from prospect.data.store_files import OPEN_FILES, Mapped, content_digest, mapped, verify, write
from prospect.errors import UserError

__all__ = ["FeatureStore", "FrameStore", "Store", "content_digest", "verify", "write_features", "write_frames"]

FRAME, FEATURE = "frame", "feature"
FRAMES_A_BATCH = 256  # fetching costs the same from about 32 up, one frame a batch seven times as much; opening less
FEATURE_BATCH_BYTES = 32 * 2**20  # what the writer holds; a clip inside one batch is read without a copy
FLOATS = (pa.float16(), pa.float32())
Item = TypeVar("Item")


@dataclass(frozen=True)
class Store:
    """One video's file. Holds the path alone, so that it travels to workers; a process opens the file at first use."""

    path: Path
    column: ClassVar[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    def __len__(self) -> int:
        return len(self._mapped)

    def __bool__(self) -> bool:
        return True  # asking whether there is a store opens no file

    @property
    def meta(self) -> dict[str, Any]:
        """What the writer said about the video; empty for files written elsewhere."""
        return self._mapped.meta

    @property
    def fps(self) -> float:
        """Frames a second of the store, which is seldom that of the video."""
        if "fps" not in self.meta:
            raise UserError(f"{self.path} does not say its frame rate: write it with fps in its metadata")
        return float(self.meta["fps"])

    @property
    def _mapped(self) -> Mapped:
        return mapped(self.path)


class FrameStore(Store):
    """JPEG frames in column `frame`: raw bytes, or base64 text as published stores have them."""

    column = FRAME

    def jpegs(self, start: int, stop: int) -> list[bytes]:
        """The encoded frames from `start` to before `stop`."""
        return list(self._jpegs(start, stop))

    def frames(self, start: int, stop: int) -> list[Image.Image]:
        """The decoded RGB frames from `start` to before `stop`."""
        return list(self.decoded(start, stop))

    def decoded(self, start: int, stop: int) -> Iterator[Image.Image]:
        """The same one by one: where each is used up before the next, the memory of one frame serves for all."""
        return (self._decoded(jpeg, start + n) for n, jpeg in enumerate(self._jpegs(start, stop)))

    def _jpegs(self, start: int, stop: int) -> Iterator[bytes]:
        store = self._mapped
        unpack = self._unpacker(store.type_of(FRAME))
        rows = chain.from_iterable(store.slices(FRAME, start, stop))
        return (unpack(row.as_buffer(), start + n) for n, row in enumerate(rows))

    def _unpacker(self, kind: pa.DataType) -> Callable[[pa.Buffer, int], bytes]:
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return lambda buffer, row: buffer.to_pybytes()
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return self._from_base64
        raise UserError(f"column `{FRAME}` of {self.path} is {kind}: it must be JPEG bytes, or base64 text of them")

    def _from_base64(self, buffer: pa.Buffer, row: int) -> bytes:
        try:
            return binascii.a2b_base64(buffer, strict_mode=True)
        except binascii.Error as error:
            raise UserError(
                f"frame {row} of {self.path} is not base64 text ({error}): write the store again"
            ) from error

    def _decoded(self, jpeg: bytes, row: int) -> Image.Image:
        try:
            with Image.open(io.BytesIO(jpeg)) as picture:
                picture.load()
                return picture if picture.mode == "RGB" else picture.convert("RGB")  # convert always copies
        except (OSError, SyntaxError) as error:
            raise UserError(f"frame {row} of {self.path} is damaged: {error}") from error


class FeatureStore(Store):
    """I tokens × D floats a frame in column `feature`: a fixed-shape tensor, or nested fixed-size lists."""

    column = FEATURE

    @property
    def shape(self) -> tuple[int, int]:
        """(tokens a frame, floats a token)."""
        return _layout(self._mapped)[0]

    @property
    def dtype(self) -> np.dtype:
        return _layout(self._mapped)[1]

    def features(self, start: int, stop: int) -> np.ndarray:
        """(frames, tokens, floats), read-only: a view of the mapped file wherever one record batch has all rows."""
        store = self._mapped
        shape, dtype = _layout(store)
        parts = [_rows(store, shape, *place) for place in store.places(start, stop)]
        if len(parts) == 1:
            return parts[0]
        whole = np.concatenate(parts) if parts else np.empty((0, *shape), dtype)
        whole.flags.writeable = False  # as the view is: whether writing works must not hang on where a clip lies
        return whole


def write_frames(path: str | Path, frames: Iterable[bytes], meta: Mapping[str, Any], sync: bool = True) -> None:
    """A store of encoded frames as raw bytes. `meta` goes into the schema: fps, video id and the like, as JSON."""
    batches = (pa.array(batch, pa.large_binary()) for batch in _batched(frames, FRAMES_A_BATCH))
    write(Path(path), pa.field(FRAME, pa.large_binary(), nullable=False), _some(batches, path), meta, sync)


def write_features(path: str | Path, arrays: Iterable[np.ndarray], meta: Mapping[str, Any]) -> None:
    """A store of one (tokens, floats) array a frame, float16 or float32. `meta`: fps, video id, weights hash, grid."""
    rest = iter(arrays)
    first = next(rest, None)
    if first is None:
        raise UserError(f"{path} would be empty: the video has no frames")
    if first.ndim != 2 or first.dtype not in (np.float16, np.float32) or not first.size:
        raise ValueError(
            f"a frame's features are {first.dtype}{first.shape}, not (tokens, floats) in float16 or float32"
        )
    kind = pa.fixed_shape_tensor(pa.from_numpy_dtype(first.dtype), first.shape)
    batches = _batched(chain([first], rest), max(1, FEATURE_BATCH_BYTES // first.nbytes))
    write(Path(path), pa.field(FEATURE, kind, nullable=False), (_tensors(batch, kind) for batch in batches), meta)


def _tensors(batch: list[np.ndarray], kind: pa.FixedShapeTensorType) -> pa.Array:
    stacked = np.stack(batch)  # refuses frames of another shape
    if stacked.shape[1:] != tuple(kind.shape) or any(pa.from_numpy_dtype(a.dtype) != kind.value_type for a in batch):
        raise ValueError(f"features of {stacked.dtype}{stacked.shape[1:]} in a store of {kind}")
    values = pa.array(stacked.reshape(-1), kind.value_type)
    return pa.ExtensionArray.from_storage(kind, pa.FixedSizeListArray.from_arrays(values, type=kind.storage_type))


def _rows(store: Mapped, shape: tuple[int, int], batch: int, first: int, last: int) -> np.ndarray:
    whole = _whole(store, shape, batch)
    return _numbers(store, shape, store.rows(FEATURE, batch, first, last)) if whole is None else whole[first:last]


@lru_cache(maxsize=64)
def _whole(store: Mapped, shape: tuple[int, int], batch: int) -> np.ndarray | None:
    """A record batch as numbers, looked into once. None where it lacks some: then it matters which are asked for."""
    try:
        return _numbers(store, shape, store.rows(FEATURE, batch))
    except UserError:
        return None


def _numbers(store: Mapped, shape: tuple[int, int], array: pa.Array) -> np.ndarray:
    values = array.storage if isinstance(array, pa.ExtensionArray) else array
    while pa.types.is_fixed_size_list(values.type):
        values = values.flatten()
        if values.null_count:  # flatten drops them, and every later row would move up
            raise UserError(f"{store.path} has features without a value: write it again from the video")
    return values.to_numpy(zero_copy_only=True).reshape(-1, *shape)


@lru_cache(maxsize=OPEN_FILES)
def _layout(store: Mapped) -> tuple[tuple[int, int], np.dtype]:
    kind = store.type_of(FEATURE)
    shape, value = _tensor(kind)
    if len(shape) != 2 or not all(shape) or value not in FLOATS:
        raise UserError(
            f"column `{FEATURE}` of {store.path} is {kind}: it must be a fixed-shape tensor, or fixed-size lists, "
            "of tokens × floats in float16 or float32"
        )
    return (shape[0], shape[1]), np.dtype(value.to_pandas_dtype())


def _tensor(kind: pa.DataType) -> tuple[tuple[int, ...], pa.DataType]:
    """The fixed shape of a column's rows and the type of their values."""
    if isinstance(kind, pa.FixedShapeTensorType):
        return (() if kind.permutation else tuple(kind.shape)), kind.value_type
    shape: tuple[int, ...] = ()
    while pa.types.is_fixed_size_list(kind):
        shape, kind = (*shape, kind.list_size), kind.value_type
    return shape, kind


def _some(batches: Iterator[pa.Array], path: str | Path) -> Iterator[pa.Array]:
    first = next(batches, None)
    if first is None:
        raise UserError(f"{path} would be empty: the video has no frames")
    return chain([first], batches)


def _batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
