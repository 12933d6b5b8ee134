"""Arrow files of one video, a row a frame: written whole or not at all, mapped into memory to be read."""

from __future__ import annotations

import json
import mmap
import os
import secrets
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from prospect.disk import digest, sync_to_disk, write_atomically
from prospect.errors import UserError

META = b"prospect"  # the schema's metadata key: one JSON object
MAGIC = b"ARROW1"  # how the file format begins; the stream format has no such mark
OPEN_FILES = 16  # mapped stores a process keeps: a worker mostly asks for the clips of few videos


def manifest_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.manifest.json")


def write(
    path: Path, column: pa.Field, batches: Iterable[pa.Array], meta: Mapping[str, Any], sync: bool = True
) -> None:
    """One column, a record batch an array. Nothing is left at `path` when the batches fail half-way.

    `sync` forces it to the disk at once: not worth its time for what can be made again.
    """
    schema = pa.schema([column], metadata={META: json.dumps(dict(meta), sort_keys=True)})
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        rows = 0
        with pa.OSFile(str(staged), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for array in batches:
                writer.write_batch(pa.record_batch([array], schema=schema))
                rows += len(array)
        manifest = {"file": path.name, "rows": rows, "size": staged.stat().st_size, "sha256": digest(staged)}
        if sync:
            sync_to_disk(staged)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    # after the data: a crash in between leaves a store that does not verify, never a manifest that vouches for nothing
    write_atomically(manifest_of(path), json.dumps(manifest, indent=1) + "\n", sync)


def verify(path: str | Path) -> list[str]:
    """What is wrong with a store; nothing when its size and every bit are those that were written."""
    path = Path(path)
    if not path.is_file():
        return [f"{path} is missing"]
    manifest = manifest_of(path)
    if not manifest.is_file():
        return [f"{path} has no {manifest.name}: it cannot be told whether it is whole"]
    try:
        entry = json.loads(manifest.read_text(encoding="utf-8"))
        size, sha256 = int(entry["size"]), str(entry["sha256"])
    except (ValueError, KeyError, TypeError):
        return [f"{manifest} is damaged"]
    if (found := path.stat().st_size) != size:
        return [f"{path} has {found} bytes instead of {size}"]
    return [] if digest(path) == sha256 else [f"{path} has changed since it was written"]


def content_digest(path: Path) -> str:
    """sha256 of a store, from its manifest where that speaks of a file of this size: hashing videos takes minutes."""
    stat = path.stat()
    return _content_digest(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=2**16)
def _content_digest(path: Path, version: tuple[int, int, int]) -> str:
    try:
        entry = json.loads(manifest_of(path).read_text(encoding="utf-8"))
        size, sha256 = int(entry["size"]), str(entry["sha256"])
    except (OSError, ValueError, KeyError, TypeError):  # there is none, or none that can be read
        return digest(path)
    return sha256 if size == version[1] else digest(path)


class Mapped:
    """A store mapped into memory. Only metadata is read until rows are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # Python's map, not Arrow's: Arrow's asks the kernel to load each batch whole, wanted or not
            with path.open("rb") as file:
                self._source = pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            self.schema, count, self._batch = self._reader()
            self._columns: list[str] = self.schema.names
            self._ends: list[int] = []
            for index in range(count):
                self._ends.append(len(self) + self._batch(index).num_rows)
        except (pa.ArrowException, ValueError, OSError) as error:
            raise UserError(
                f"{path} cannot be read as an Arrow file ({error}): it is of another kind or cut short; write it again"
            ) from error

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def meta(self) -> dict[str, Any]:
        """What the writer said about the video; empty for files written elsewhere."""
        try:
            return dict(json.loads((self.schema.metadata or {}).get(META, b"{}")))
        except (ValueError, TypeError) as error:
            raise UserError(f"{self.path} is damaged: its metadata is no JSON object; write it again") from error

    def type_of(self, column: str) -> pa.DataType:
        if self._columns.count(column) != 1:
            raise UserError(f"{self.path} must have one column `{column}` and has {', '.join(self._columns) or 'none'}")
        return self.schema.field(column).type

    def slices(self, column: str, start: int, stop: int) -> Iterator[pa.Array]:
        """The rows from `start` to before `stop`, an array for each record batch that holds some, nothing copied."""
        return (self.rows(column, *place) for place in self.places(start, stop))

    def places(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Which rows of which record batches these are: (batch, first, last)."""
        if not 0 <= start <= stop <= len(self):
            raise UserError(
                f"{self.path} holds {len(self)} frames and frames {start} to {stop} were asked for: "
                "check that the clip belongs to this video and was cut at the same frame rate"
            )
        index = bisect_right(self._ends, start)
        while start < stop:
            first = self._ends[index - 1] if index else 0
            end = min(stop, self._ends[index])
            yield index, start - first, end - first
            start, index = end, index + 1

    def rows(self, column: str, batch: int, first: int = 0, last: int | None = None) -> pa.Array:
        """Rows of one record batch. Arrow follows offsets blindly: a damaged one would end the process, not raise."""
        whole = self._batch(batch).column(column)
        array = whole.slice(first, (len(whole) if last is None else last) - first)
        try:
            array.validate(full=True)
        except pa.ArrowException as error:
            raise UserError(f"{self.path} is damaged ({error}): write it again") from error
        if array.null_count:
            raise UserError(f"{self.path} has rows without a value: write it again from the video")
        return array

    def _reader(self) -> tuple[pa.Schema, int, Callable[[int], pa.RecordBatch]]:
        if self._source[: len(MAGIC)].to_pybytes() == MAGIC:
            reader = pa.ipc.open_file(self._source)
            return reader.schema, reader.num_record_batches, reader.get_batch
        stream = pa.ipc.open_stream(self._source)  # as `datasets` writes: no index, so the batches are kept
        batches = list(stream)
        return stream.schema, len(batches), batches.__getitem__


def mapped(path: Path) -> Mapped:
    """The store at `path`, opened once a process. A file that was replaced since is opened anew."""
    try:
        stat = path.stat()
    except OSError as error:
        raise UserError(f"frame store {path} cannot be opened ({error.strerror}): check the path") from error
    return _mapped(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=OPEN_FILES)
def _mapped(path: Path, version: tuple[int, int, int]) -> Mapped:
    return Mapped(path)
