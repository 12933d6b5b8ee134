"""What a report shows of pairs of answers: the two, and what the model says itself, before training and after it."""

from __future__ import annotations

from typing import Any

from prospect.runs.reports.report_answers import is_picture

SHOWN = 40  # pairs of a split; the rest stands in predictions/

Rows = list[dict[str, Any]]


def parted(predictions: dict[str, Rows]) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """Single answers, and pairs of them, by split."""
    pairs = {
        split: [row for row in rows if isinstance(row.get("rejected"), str)] for split, rows in predictions.items()
    }
    single = {split: [row for row in rows if row not in pairs[split]] for split, rows in predictions.items()}
    return single, {split: rows for split, rows in pairs.items() if rows}


def tables(pairs: dict[str, Rows]) -> list[dict[str, Any]]:
    """A table a split, pairs that are taken the wrong way round first."""
    found = []
    for split, unsorted in pairs.items():
        rows = sorted(unsorted, key=lambda row: row.get("correct") is not False)
        wrong = sum(row.get("correct") is False for row in rows)
        shown = [_shown(row) for row in rows[:SHOWN]]
        has_before = any(row["before"] is not None for row in shown)
        found.append({"split": split, "total": len(rows), "wrong": wrong, "rows": shown, "has_before": has_before})
    return found


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """`image` only if it is one: the page asks nothing of the network, whatever a file says."""
    keys = ("id", "question", "label", "rejected", "before", "prediction", "correct", "margin")
    found = {key: row.get(key) for key in keys}
    found["image"] = row["image"] if is_picture(row.get("image")) else None
    return found | {f"{when}_is": _which(found[when], found) for when in ("before", "prediction")}


def _which(text: Any, row: dict[str, Any]) -> str:
    """Whether the model says one of the two answers word for word."""
    said = str(text).strip()
    return "chosen" if said == str(row["label"]).strip() else "other" if said == row["rejected"].strip() else ""
