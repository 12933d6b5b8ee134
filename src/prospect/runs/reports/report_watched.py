"""What a report and the terminal show of clips that the model watched freely: headlines, and a timeline of some clips.

All of it is read from metrics.json and predictions/*.watched.jsonl.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prospect.runs.reports import report_judge
from prospect.runs.reports.curves import SPLITS
from prospect.runs.reports.report_timeline import timeline
from prospect.runs.strict_json import as_number

Rows = list[dict[str, Any]]

CLIPS, OPEN = 12, 3  # how many clips of a split have a timeline, and how many of them are in sight at once


@dataclass(frozen=True)
class Measure:
    """A headline number: its key in metrics.json without the split, and what it is in plain words."""

    key: str
    name: str
    means: str
    silence: str = ""  # the key of what a model gets that never says anything
    beside: tuple[tuple[str, str], ...] = ()  # smaller numbers that explain it: (key, name)


MEASURES = (
    Measure(
        "dst/joint_goal_accuracy",
        "joint goal accuracy",
        "Share of frames at which the status of every step is right.",
        "silent/dst/joint_goal_accuracy",
    ),
    Measure("dst/transition_f1", "transition F1", "Starts and ends of steps, told at the very frame."),
    Measure("stream/speak/f1", "speak F1", "Spoke at the very frame at which the reference speaks."),
    Measure(
        "dialogue/f1",
        "dialogue F1",
        "Said the right thing, near the right time.",
        beside=(
            ("dialogue/precision", "precision"),
            ("dialogue/recall", "recall"),
            ("dialogue/missing", "missing"),
            ("dialogue/redundant", "redundant"),
        ),
    ),
    Measure("dialogue/right_names", "names right", "Where the reference names a part: named that part and no other."),
)


# What their names begin with in metrics.json; other names below dst/ are of decisions with the truth given before.
NAMES = (
    *("watched/", "stream/", "dialogue/", "silent/", "judge/", "dst/timing/", "dst/transition_"),
    *("dst/joint_goal_accuracy", "dst/step_accuracy", "dst/illegal", "dst/unparsable"),
)


def splits(metrics: Mapping[str, Any]) -> list[str]:
    """Those that were watched."""
    return [split for split in SPLITS if f"{split}/watched/clips" in metrics]


def headlines(metrics: Mapping[str, Any]) -> Rows:
    """Every measure with its value on every split that was watched, test first."""
    there = splits(metrics)
    return [
        {
            "name": measure.name,
            "means": measure.means,
            "values": [
                {
                    "split": split,
                    "value": metrics[f"{split}/{measure.key}"],
                    "low": metrics.get(f"{split}/{measure.key}_low"),
                    "high": metrics.get(f"{split}/{measure.key}_high"),
                    "silence": metrics.get(f"{split}/{measure.silence}"),
                    "beside": [
                        (name, metrics[f"{split}/{key}"]) for key, name in measure.beside if f"{split}/{key}" in metrics
                    ],
                }
                for split in there
                if f"{split}/{measure.key}" in metrics
            ],
        }
        for measure in MEASURES
        if any(f"{split}/{measure.key}" in metrics for split in there)
    ]


def belongs(key: str, metrics: Mapping[str, Any]) -> bool:
    """Whether a number of metrics.json is one of watching freely."""
    split, _, name = key.partition("/")
    return name.startswith(NAMES) and f"{split}/watched/clips" in metrics


def others(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """All numbers of watching freely that are no headline, by name and split."""
    said = {key for m in MEASURES for key in (m.key, f"{m.key}_low", f"{m.key}_high", m.silence, *dict(m.beside))}
    rows: dict[str, dict[str, Any]] = {}
    for key, value in metrics.items():
        split, _, name = key.partition("/")
        if belongs(key, metrics) and name not in said:
            rows.setdefault(name, {})[split] = value
    return {"splits": splits(metrics), "rows": rows}


def groups(metrics: Mapping[str, Any], watched: Mapping[str, Rows], notes: list[str]) -> Rows:
    """For every split the timelines of some clips, those with the most mistakes first."""
    found = []
    for split in sorted(watched, key=lambda split: (*SPLITS, split).index(split)):
        whole = [row for row in watched[split] if is_whole(row)]
        if damaged := len(watched[split]) - len(whole):
            notes.append(f"predictions/{split}.watched.jsonl: {damaged} clips are damaged and were left out.")
        if not whole:
            continue
        worst = sorted(whole, key=lambda row: -row["wrong"])
        shown = ([row for row in worst if row.get("thumbnails")] or worst)[:CLIPS]
        found.append(
            {
                "split": split,
                "total": as_number(metrics.get(f"{split}/watched/clips")) or len(whole),
                "wrong": sum(row["wrong"] for row in whole),
                "frames": sum(len(row["p_speak"]) for row in whole),
                "open": OPEN,
                "judged": report_judge.judged(split, metrics, whole),
                "clips": [timeline(row) | {"judge": report_judge.told(row)} for row in shown],
            }
        )
    return found


# --- what a row must be -----------------------------------------------------------------------------------------------

FRAME, UTTERANCE = int, (int, str)
SHAPE: dict[str, Any] = {
    "id": str,
    "first": FRAME,
    "fps": float,
    "wrong": int,
    "settings": {"speak_threshold": float, "dst_threshold": float},
    "p_speak": [float],
    "p_dst": [float],
    "updates": [(FRAME, str, [(str, str)])],
    "pairs": [(*UTTERANCE, *UTTERANCE, float, bool)],
    "missed": [UTTERANCE],
    "redundant": [UTTERANCE],
    "happened": [(FRAME, str, str)],
    "steps": [(str, str)],
}


def is_whole(row: Mapping[str, Any]) -> bool:
    """Files may be cut off, or written by others: only what has all parts is drawn."""
    start = row.get("start")
    return (
        _fits(row, SHAPE)
        and isinstance(start, dict)
        and all(isinstance(status, str) for status in start.values())
        and len(row["p_speak"]) == len(row["p_dst"]) > 0
        and row["fps"] > 0
        and row["wrong"] >= 0
        and isinstance(row.get("thumbnails") or [], list)
        and _fits(row.get("asked") or [], [UTTERANCE])
    )


def _fits(value: Any, shape: Any) -> bool:
    """Shapes: a type; a list of one shape, of any length; a tuple of shapes, one each; a dict of what must be there."""
    if isinstance(shape, dict):
        return isinstance(value, Mapping) and all(_fits(value.get(name), each) for name, each in shape.items())
    if isinstance(shape, list):
        return isinstance(value, list) and all(_fits(each, shape[0]) for each in value)
    if isinstance(shape, tuple):
        return isinstance(value, list) and len(value) == len(shape) and all(map(_fits, value, shape))
    if shape is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is shape
