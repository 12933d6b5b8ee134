"""What a converted line asks for and this checkout does not have: said, so that nobody waits for it to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from prospect.runs.convert.line import Line

GROUPS = ("model", "data", "trainer", "adapt")
OPEN = ("args", "learning_rates")  # their keys are those of a library, or of the model's parts


def absent(line: Line, conf: Path) -> list[str]:
    """One sentence for every option that has no file, and for every key that its file does not name."""
    found = []
    for group in GROUPS:
        option = line.words.get(group)
        if option is None:
            continue
        file = conf / group / f"{option}.yaml"
        if not file.is_file():
            found.append(f"{group}={option} is not in this checkout yet (no {file.name} in {file.parent})")
            continue
        node = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        keys = [key for key in line.words if key.startswith(f"{group}.") and key.split(".")[1] not in OPEN]
        found += [f"{key}: {group}={option} has no such key here" for key in keys if not _has(node, key.split(".")[1:])]
    return found


def _has(node: Any, path: list[str]) -> bool:
    for name in path:
        if not isinstance(node, dict) or name not in node:
            return False
        node = node[name]
    return True
