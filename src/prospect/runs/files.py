"""Files that are either whole or not there, and JSON that every reader accepts."""

from __future__ import annotations

import json
import math
import numbers
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_atomically(path: Path, content: str | bytes, sync: bool = True) -> None:
    """Write beside the target, flush to disk, rename: a reader, or a crash, finds the old file or the new one."""
    staged = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with staged.open("wb") as file:
            # surrogateescape: a diff of a file that is not UTF-8 keeps its very bytes
            file.write(content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape"))
            if sync:
                file.flush()
                os.fsync(file.fileno())
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    if sync:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def plain(value: Any) -> Any:
    """The value in JSON's own types. NaN and infinities become the texts "NaN", "Infinity" and "-Infinity": strict
    JSON has no numbers for them, and null would hide that a metric broke. `float(text)` reads them back."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, numbers.Integral):  # numpy's scalars are registered as Integral and Real
        return int(value)
    if isinstance(value, numbers.Real):
        return _number(float(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON: {value!r:.200}")


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def to_json(value: Any) -> str:
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_number(value: Any) -> float | None:
    """Numbers, and the texts that stand for NaN and infinities in strict JSON."""
    if isinstance(value, str) and value.lower() in {"nan", "infinity", "-infinity", "inf", "-inf"}:
        return float(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
