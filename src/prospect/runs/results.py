"""What an evaluation leaves in the run folder, and what it shows on the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table

from prospect.runs.folder import Run


class Scored(Protocol):
    """Metrics by flat name, a row a sample, and the confusion matrix."""

    @property
    def metrics(self) -> dict[str, float]: ...
    @property
    def predictions(self) -> list[dict[str, Any]]: ...
    @property
    def confusion(self) -> dict[str, Any]: ...


def write_results(run: Run, scored: Mapping[str, Scored], more: Mapping[str, float] | None = None) -> None:
    """metrics.json, predictions/, confusion.json and .png; then the headline on the terminal."""
    metrics = {f"{split}/{name}": value for split, each in scored.items() for name, value in each.metrics.items()}
    run.write_json("metrics.json", metrics | dict(more or {}))
    for split, each in scored.items():
        rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in each.predictions)
        run.write_text(f"predictions/{split}.jsonl", rows)
    last = list(scored)[-1]
    run.write_json("confusion.json", {"split": last, **scored[last].confusion})
    draw_confusion(run, last, scored[last].confusion)
    console = Console()
    console.print(class_table(last, scored[last]))
    for split, each in scored.items():
        console.print(f"{split}  accuracy {each.metrics['accuracy']:.3f}  macro F1 {each.metrics['macro_f1']:.3f}")


def class_table(split: str, scored: Scored) -> Table:
    """Rows the truth, columns the answer, then precision, recall and F1 of each class."""
    columns, labels = scored.confusion["columns"], scored.confusion["labels"]
    table = Table(title=f"{split}: truth ↓, answer →", title_justify="left", box=None, header_style="dim")
    table.add_column("")
    for column in (*columns, "precision", "recall", "F1"):
        table.add_column(column, justify="right")
    for label, row in zip(labels, scored.confusion["matrix"], strict=True):
        counts = [
            f"[bold]{count}" if column == label else str(count or "·")
            for column, count in zip(columns, row, strict=True)
        ]
        rates = [f"{scored.metrics[f'class/{label}/{name}']:.3f}" for name in ("precision", "recall", "f1")]
        table.add_row(label, *counts, *rates)
    return table


def draw_confusion(run: Run, split: str, confusion: Mapping[str, Any]) -> None:
    from matplotlib.figure import Figure  # slow to import, and only needed here

    matrix, columns, labels = confusion["matrix"], confusion["columns"], confusion["labels"]
    figure = Figure(figsize=(1.1 * len(columns), 0.9 * len(labels) + 0.6), layout="constrained")
    axes = figure.add_subplot(xlabel="answer", ylabel="truth", title=split)
    axes.imshow(matrix, cmap="Blues", vmin=0)
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    top = max(max(row) for row in matrix) or 1
    for y, row in enumerate(matrix):
        for x, count in enumerate(row):
            axes.text(x, y, count, ha="center", va="center", color="white" if count > 0.6 * top else "black")
    figure.savefig(run.folder / "confusion.png", dpi=120)
