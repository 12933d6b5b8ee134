"""What a report shows of questions with one right answer: rates by class, the confusion, and the answers themselves."""

from __future__ import annotations

import re
from typing import Any

from prospect.runs.reports import curves

SHOWN = 60  # answers of a split; the rest stands in predictions/
THUMBNAIL = re.compile(r"data:image/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/=]+")


def by_class(metrics: dict[str, Any]) -> dict[str, Any] | None:
    for split in curves.SPLITS:
        prefix = f"{split}/class/"
        rows: dict[str, dict[str, Any]] = {}
        for key, value in metrics.items():
            if key.startswith(prefix):
                label, _, name = key.removeprefix(prefix).rpartition("/")
                rows.setdefault(label, {})[name] = value
        if rows:
            return {"split": split, "rows": rows}
    return None


def confusion(found: dict[str, Any]) -> dict[str, Any] | None:
    if not {"labels", "matrix"} <= found.keys():
        return None
    labels, matrix = found["labels"], found["matrix"]
    width = max((len(row) for row in matrix), default=0)
    columns = found.get("columns") or [*labels, *["(other)"] * (width - len(labels))]
    rows = [
        {
            "label": label,
            "total": sum(counts),
            "cells": [_cell(label, *each, sum(counts)) for each in zip(columns, counts, strict=False)],
        }
        for label, counts in zip(labels, matrix, strict=False)
    ]
    return {"columns": columns, "rows": rows, "split": found.get("split")}


def _cell(label: str, column: str, count: int, total: int) -> dict[str, Any]:
    share = count / total if total else 0.0
    return {
        "count": count,
        "share": share,
        "right": label == column,
        "alpha": round(0.08 + 0.82 * share, 3) if count else 0,
    }


def galleries(predictions: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """A gallery a split, the wrong ones first."""
    found = []
    for split, unsorted in predictions.items():
        rows = sorted(unsorted, key=lambda row: row.get("correct") is not False)
        wrong = sum(row.get("correct") is False for row in rows)
        cards = [_card(row) for row in rows[:SHOWN]]
        if cards:
            found.append({"split": split, "total": len(rows), "wrong": wrong, "cards": cards})
    return found


def _card(row: dict[str, Any]) -> dict[str, Any]:
    """Only a data URI becomes an image: the page asks nothing of the network, whatever a file says."""
    image = row.get("image")
    whole = is_picture(image)
    keys = ("id", "question", "label", "prediction", "text", "correct")
    return {**{key: row.get(key) for key in keys}, "image": image if whole else None}


def is_picture(value: object) -> bool:
    """A data URI of an image: whatever a file says, the page asks nothing of the network."""
    return isinstance(value, str) and THUMBNAIL.fullmatch(value) is not None
