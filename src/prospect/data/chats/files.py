"""Rows of a file, a folder, a folder that `datasets` saved, or a data set of the hub, just as they are stored there."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from prospect.data.chats.entry import Entry
from prospect.data.element.rows import Fault
from prospect.data.splits import ALIASES
from prospect.errors import UserError

SUFFIXES = (".jsonl", ".json", ".parquet", ".arrow")
SAVED = ("dataset_info.json", "dataset_dict.json")  # one of them lies in what `datasets` saved
SHARD = r"(-\d+)?(-of-\d+)?"  # train-00000-of-00004.parquet


def entries(path: str, subset: str | None, expression: str | None, key: str, take: int | None = None) -> list[Entry]:
    """All rows, or those of an expression such as train[:5%]+val. `key` is what the user calls the path.

    With `take` only the first so many rows of each split: nothing behind them is read or downloaded.
    """
    place = Path(path).expanduser()
    if place.exists():
        if subset is not None:
            raise UserError(
                f"data.subset={subset}: only data sets of the hub have subsets, and {key}={path} is on disk"
            )
        found = list(_local(place.resolve(), key, take))
        return found if expression is None else _chosen(found, expression, f"{key}={path}")
    from prospect.data.chats.hub import published  # only here: importing datasets takes seconds

    return list(published(path, subset, expression, key, take))


def _local(place: Path, key: str, take: int | None = None) -> Iterator[Entry]:
    if place.is_file():
        if place.suffix not in SUFFIXES:
            raise UserError(f"{key}={place}: a file must end in {', '.join(SUFFIXES)}")
        yield from islice(_file(place, place.parent, place.name), take)
    elif any((place / name).is_file() for name in SAVED):
        from prospect.data.chats.hub import saved

        yield from saved(place, take)
    else:
        taken: Counter[str] = Counter()
        for file in _files(place, key):
            left = None if take is None else take - taken[split_of_file(file)]
            for entry in islice(_file(file, place, str(file.relative_to(place))), left):
                taken[entry.split] += 1
                yield entry


def _files(folder: Path, key: str) -> list[Path]:
    """Those in the folder, or else those in its `data`, where copies of the hub have them.

    JSON may be anything: beside other files it is read only where it is named after a split.
    """
    for place in (folder, folder / "data"):
        every = sorted(path for path in place.glob("*") if path.is_file() and path.suffix in SUFFIXES)
        found = [path for path in every if path.suffix != ".json" or split_of_file(path)] or every
        named = [path for path in found if split_of_file(path)]
        if named and len(named) < len(found):
            rest = ", ".join(path.name for path in found if path not in named)
            raise UserError(
                f"{key}={folder}: {named[0].name} is named after a split and {rest} is not; name one file, or give "
                "all of them names such as train.jsonl and val.jsonl"
            )
        if found:
            return found
    raise UserError(f"{key}={folder}: no file in it that ends in {', '.join(SUFFIXES)}")


def split_of_file(path: Path) -> str:
    match = re.fullmatch(rf"({'|'.join(ALIASES)}){SHARD}", path.stem)
    return match[1] if match else ""


def _file(path: Path, folder: Path, name: str) -> Iterator[Entry]:
    readers = {".jsonl": _lines, ".json": _list, ".parquet": _parquet, ".arrow": _arrow}
    for where, value in readers[path.suffix](path):
        yield Entry(f"{name}{where}", split_of_file(path), value, folder)


Rows = Iterator[tuple[str, Any]]  # behind the file's name where it is, and the row or its Fault


def _lines(path: Path) -> Rows:
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line.strip():
            try:
                yield f":{number}", json.loads(line.decode("utf-8"))
            except ValueError as error:  # not JSON, or not UTF-8
                yield f":{number}", Fault("bad-json", f"not a JSON object: {error}")


def _list(path: Path) -> Rows:
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}; a file of JSON lines must end in .jsonl") from error
    if not isinstance(rows, list):
        raise UserError(f"{path} holds one {type(rows).__name__}; a .json file must be a list of rows")
    yield from ((f"[{index}]", row) for index, row in enumerate(rows))


def _parquet(path: Path) -> Rows:
    try:
        yield from _numbered(parquet.ParquetFile(path).iter_batches(batch_size=256))
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise UserError(f"{path} cannot be read as parquet: {error}") from error


def _arrow(path: Path) -> Rows:
    """The stream that `datasets` writes, or a file of Arrow."""
    with pyarrow.memory_map(str(path)) as source:
        try:
            yield from _numbered(iter(pyarrow.ipc.open_stream(source)))
            return
        except pyarrow.ArrowInvalid:
            source.seek(0)
        try:
            file = pyarrow.ipc.open_file(source)
        except pyarrow.ArrowInvalid as error:
            raise UserError(f"{path} cannot be read as Arrow: {error}") from error
        yield from _numbered(file.get_batch(number) for number in range(file.num_record_batches))


def _numbered(batches: Iterator[Any]) -> Rows:
    yield from ((f"[{index}]", row) for index, row in enumerate(row for batch in batches for row in batch.to_pylist()))


def _chosen(found: list[Entry], expression: str, told: str) -> list[Entry]:
    """The rows of train[:5%] and the like, by the rules of `datasets`; what has no split's name counts as train."""
    import datasets

    rows: dict[str, list[Entry]] = {}
    for entry in found:
        rows.setdefault(entry.split or "train", []).append(entry)
    try:
        parts = datasets.ReadInstruction.from_spec(expression).to_absolute({name: len(rows[name]) for name in rows})
    except (ValueError, AssertionError) as error:
        raise UserError(f"split {expression!r} of {told}: {error}; there is {', '.join(rows)}") from error
    return [entry for part in parts for entry in rows[part.splitname][part.from_ : part.to]]
