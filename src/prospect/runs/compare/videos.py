"""What each video added to a run's metrics, so that two runs can be compared over the same videos.

Where answers belong to users, a user is what a video is elsewhere: the answers of one are not independent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from prospect.runs.compare.comparison import Entry
from prospect.runs.compare.reading import Unreadable, read_text
from prospect.runs.reports.curves import split_of

TRUTH = ("label", "first", "frames", "events", "happened")  # of a row: the same video has the same
Shares = Mapping[str, tuple[float, float]]  # by video: what it adds to the upper and to the lower sum


def paired(ours: Sequence[Entry], theirs: Sequence[Entry], metric: str) -> tuple[np.ndarray, np.ndarray]:
    """(videos, 2) of both sides, over the videos that every run of both has seen; each summed over its side's runs."""
    sides = [[shares(entry.folder, metric) for entry in side] for side in (ours, theirs)]
    runs = [run for side in sides for run in side]
    common = [video for video in (runs[0] if runs else ()) if all(video in run for run in runs)]
    first, second = (
        np.array([np.sum([run[video] for run in side], axis=0) for video in common], float).reshape(-1, 2)
        for side in sides
    )
    return first, second


def shares(folder: Path, metric: str) -> Shares:
    """Of one run and metric; of none where its predictions do not say."""
    split, name = split_of(metric)
    found: dict[str, tuple[float, float]] = {}
    for row in (row for file in (f"{split}.watched.jsonl", f"{split}.jsonl") for row in _rows(folder, file)):
        if name in row["shares"]:
            upper, lower = row["shares"][name]
            before = found.get(row["video"], (0, 0)) if row["adds"] else (0, 0)
            found[row["video"]] = (before[0] + upper, before[1] + lower)
    return found


@lru_cache(maxsize=4096)
def _rows(folder: Path, file: str) -> list[dict[str, Any]]:
    """Kept small: predictions carry pictures. A run killed while writing leaves none, the file is written whole."""
    try:
        text = read_text(folder / "predictions" / file)
        rows = [json.loads(line) for line in (text or "").splitlines()]
    except (Unreadable, ValueError):
        return []
    return [_row(row) for row in rows if isinstance(row, dict) and "id" in row]


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Samples of other data may have the same id: what is true of a sample is part of its name."""
    shares = dict(row.get("shares", {}))
    if "correct" in row:
        shares["accuracy"] = (int(row["correct"]), 1)
    if "user" in row:
        return {"video": f"user {row['user']}", "shares": shares, "adds": True}
    truth = json.dumps([row["id"], *(row.get(key) for key in TRUTH)])
    return {"video": truth, "shares": shares, "adds": False}
