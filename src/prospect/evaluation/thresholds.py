"""What every threshold gives, and which one is best on val: from the probabilities that a run stored, without a model.

`python -m prospect.evaluation.thresholds RUN` does it again from a run folder's predictions/*.jsonl.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from prospect.conversation.segments import DECISIONS
from prospect.disk import write_atomically
from prospect.errors import UserError
from prospect.evaluation.decisions import average_precision, best_threshold, found_of, rates

DIGITS = 6  # of a stored probability; what is scored is rounded alike, so that nothing differs when it is done again
HALF = 0.5
CHOSEN_ON = "val"
RATES = ("precision", "recall", "f1")

Rows = Sequence[Mapping[str, Any]]  # of predictions/*.jsonl: `at` and `p` of each decision


def chosen(rows: Mapping[str, Rows]) -> dict[str, float]:
    """The threshold of the best F1 on val for each decision; without a val split one half."""
    if not rows.get(CHOSEN_ON):
        return dict.fromkeys(DECISIONS, HALF)
    return {name: best_threshold(*column(rows[CHOSEN_ON], name)) for name in DECISIONS}


def sweep(rows: Mapping[str, Rows], thresholds: Mapping[str, float]) -> dict[str, Any]:
    """Every split at the chosen thresholds and at all others; what thresholds.json holds."""
    return {
        "chosen_on": CHOSEN_ON if rows.get(CHOSEN_ON) else None,
        "decisions": {
            name: {
                "threshold": thresholds[name],
                "splits": {split: _split(*column(each, name), thresholds[name]) for split, each in rows.items()},
            }
            for name in DECISIONS
        },
    }


def swept(labels: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
    """Rates where scores above θ are calls. A row holds from its θ up to the next one's, since no score lies between.

    Where nothing is called, or there is nothing to call, a rate is 0.
    """
    theta = np.unique(np.r_[0.0, scores])
    calls, hits = (_above(each, theta) for each in (scores, scores[labels]))
    found = found_of(hits, calls, np.full(len(theta), labels.sum()))
    return {"theta": theta} | {name: np.nan_to_num(found[name]) for name in RATES}


def column(rows: Rows, decision: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of one decision at all frames of all clips."""
    labels = [np.isin(np.arange(len(row[decision]["p"])), row[decision]["at"]) for row in rows]
    scores = [np.asarray(row[decision]["p"], float) for row in rows]
    return np.concatenate([np.zeros(0, bool), *labels]), np.concatenate([np.zeros(0), *scores])


def _above(scores: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return len(scores) - np.searchsorted(np.sort(scores), theta, side="right")


def _split(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, Any]:
    found = rates(labels, scores > threshold)
    return {
        "frames": len(labels),
        "events": int(labels.sum()),
        "ap": average_precision(labels, scores),
        **{name: found[name] for name in RATES},
        "curve": {name: [round(float(value), 6) for value in values] for name, values in swept(labels, scores).items()},
    }


def stored(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of streams that a run left, by split."""
    files = [file for file in sorted(folder.glob("predictions/*.jsonl")) if "." not in file.stem]
    rows = {file.stem: [json.loads(line) for line in file.read_text("utf-8").splitlines()] for file in files}
    found = {split: each for split, each in rows.items() if each and all(set(DECISIONS) <= row.keys() for row in each)}
    if CHOSEN_ON not in found:
        raise UserError(f"{folder}: predictions/{CHOSEN_ON}.jsonl holds no decisions, on which thresholds are chosen")
    return found


def table(found: Mapping[str, Any]) -> Table:
    shown = Table("decision", "", box=None, header_style="dim")
    for name in (*RATES, "AP", "θ"):
        shown.add_column(name, justify="right")
    for name, each in found["decisions"].items():
        for split, at in each["splits"].items():
            numbers = (*(at[rate] for rate in RATES), at["ap"], each["threshold"])
            shown.add_row(name, split, *(f"{number:.3f}" for number in numbers))
    return shown


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m prospect.evaluation.thresholds",
        description="Choose the thresholds of a run on val anew, from its stored probabilities.",
    )
    parser.add_argument("run", type=Path, help="a run folder; nothing in it is changed")
    parser.add_argument("--json", type=Path, help="write every threshold with its rates into this file")
    asked = parser.parse_args(arguments)
    try:
        rows = stored(asked.run)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    found = sweep(rows, chosen(rows))
    if asked.json:
        write_atomically(asked.json, json.dumps(found, allow_nan=False) + "\n")
    Console().print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
