"""What each sample added to a run's metrics, so that two runs can be compared over the same ones.

A sample is a video that was watched, or a picture or a question. Where answers belong to users, it is a user: the
answers of one are not independent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from prospect.runs.compare.comparison import Entry
from prospect.runs.compare.reading import Unreadable, read_text
from prospect.runs.reports.curves import split_of

VIDEOS, USERS, SAMPLES = "videos", "users", "samples"
WATCHED = ".watched.jsonl"
TRUTH = ("label", "first", "frames", "events", "happened")  # of a row: the same sample has the same
Name = tuple[str, str]  # what kind of sample it is (videos, users, samples), and which
Shares = Mapping[Name, tuple[float, float]]  # what each adds to the upper and to the lower sum


@dataclass(frozen=True)
class Pairs:
    """Of the samples that every run of both sides has seen; each summed over its side's runs."""

    kind: str  # videos, users, samples
    first: np.ndarray  # (samples, 2)
    second: np.ndarray


def paired(ours: Sequence[Entry], theirs: Sequence[Entry], metric: str) -> Pairs:
    sides = [[shares(entry.folder, metric) for entry in side] for side in (ours, theirs)]
    runs = [run for side in sides for run in side]
    common = [name for name in (runs[0] if runs else ()) if all(name in run for run in runs)]
    first, second = (
        np.array([np.sum([run[name] for run in side], axis=0) for name in common], float).reshape(-1, 2)
        for side in sides
    )
    kinds = {kind for kind, _ in common}
    return Pairs(kinds.pop() if len(kinds) == 1 else SAMPLES, first, second)


def shares(folder: Path, metric: str) -> Shares:
    """Of one run and metric; of none where its predictions do not say."""
    split, name = split_of(metric)
    found: dict[Name, tuple[float, float]] = {}
    for row in (row for file in (f"{split}{WATCHED}", f"{split}.jsonl") for row in _rows(folder, file)):
        if name in row["shares"]:
            upper, lower = row["shares"][name]
            before = found.get(row["name"], (0, 0)) if row["name"][0] == USERS else (0, 0)
            found[row["name"]] = (before[0] + upper, before[1] + lower)
    return found


@lru_cache(maxsize=4096)
def _rows(folder: Path, file: str) -> list[dict[str, Any]]:
    """Kept small: predictions carry pictures. A run killed while writing leaves none, the file is written whole."""
    try:
        text = read_text(folder / "predictions" / file)
        rows = [json.loads(line) for line in (text or "").splitlines()]
    except (Unreadable, ValueError):
        return []
    kind = VIDEOS if file.endswith(WATCHED) else SAMPLES
    return [_row(row, kind) for row in rows if isinstance(row, dict) and "id" in row]


def _row(row: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Samples of other data may have the same id: what is true of a sample is part of its name."""
    shares = dict(row.get("shares", {}))
    if "correct" in row:
        shares["accuracy"] = (int(row["correct"]), 1)
    if "user" in row:
        return {"name": (USERS, str(row["user"])), "shares": shares}
    truth = json.dumps([row["id"], *(row.get(key) for key in TRUTH)])
    return {"name": (kind, truth), "shares": shares}
