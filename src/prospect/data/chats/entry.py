"""A row as it is stored, wherever that is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One row. `where` (file:line, file[row]) is unique; `split` is the source's own name for it, "" if it has none.

    `value` is a Fault where the row cannot even be read. Paths of pictures start from `folder`.
    """

    where: str
    split: str
    value: Any
    folder: Path
