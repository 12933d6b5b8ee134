"""The rows of a JSON lines file, also of one that is not whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """The rows, and the lines that could not be read: the last one of a run that was killed is often half a line."""
    rows, bad = [], []
    content = path.read_bytes().split(b"\n") if path.is_file() else []
    for index, line in enumerate(content, start=1):
        try:
            row = json.loads(line) if line.strip() else {}
        except ValueError:
            row = None
        if isinstance(row, dict):
            rows.append(row)
        else:
            bad.append(index)
    return [row for row in rows if row], bad
