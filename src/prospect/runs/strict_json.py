"""JSON that every reader accepts, with the numbers that it has no words for spelt out."""

from __future__ import annotations

import json
import math
import numbers
import os
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """The value in JSON's own types. NaN and infinities become the texts "NaN", "Infinity" and "-Infinity": strict
    JSON has no numbers for them, and null would hide that a metric broke. `float(text)` reads them back."""
    if value is None or isinstance(value, str | bool):
        return value
    if type(value) is float:  # nearly all of what is written; the kinds below take their time to tell
        return _number(value)
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
    """Numbers, and the texts that stand for NaN and infinities in strict JSON. A whole number beyond every float is
    infinite, as 1e999 is."""
    if type(value) is float:
        return value
    if isinstance(value, str) and value.lower() in {"nan", "infinity", "-infinity", "inf", "-inf"}:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
