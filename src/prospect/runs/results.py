"""What an evaluation leaves in the run folder, and what it shows on the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table

from prospect.runs.folder import Run
from prospect.runs.report import write_report


class Scored(Protocol):
    """Metrics by flat name, a row a sample, and the confusion matrix."""

    @property
    def metrics(self) -> dict[str, float]: ...
    @property
    def predictions(self) -> list[dict[str, Any]]: ...
    @property
    def confusion(self) -> dict[str, Any]: ...


def write_results(run: Run, scored: Mapping[str, Scored], more: Mapping[str, float] | None = None) -> None:
    """metrics.json, predictions/, confusion.json and .png, report.html; then the headline on the terminal."""
    metrics = {f"{split}/{name}": value for split, each in scored.items() for name, value in each.metrics.items()}
    run.write_json("metrics.json", metrics | dict(more or {}))
    for split, each in scored.items():
        rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in each.predictions)
        run.write_text(f"predictions/{split}.jsonl", rows)
    last = list(scored)[-1]
    run.write_json("confusion.json", {"split": last, **scored[last].confusion})
    draw_confusion(run, last, scored[last].confusion)
    report = write_report(run.folder)
    console = Console()
    console.print(confusion_table(last, scored[last].confusion))
    for split, each in scored.items():
        console.print(f"{split}  accuracy {each.metrics['accuracy']:.3f}  macro F1 {each.metrics['macro_f1']:.3f}")
    console.print(f"report {report}", soft_wrap=True)


def confusion_table(split: str, confusion: Mapping[str, Any]) -> Table:
    """Rows the truth, columns the answer."""
    table = Table(title=f"{split}: truth ↓, answer →", title_justify="left")
    table.add_column("")
    for column in confusion["columns"]:
        table.add_column(column, justify="right")
    for label, row in zip(confusion["labels"], confusion["matrix"], strict=True):
        table.add_row(
            label,
            *(
                f"[bold]{n}" if column == label else str(n or "·")
                for column, n in zip(confusion["columns"], row, strict=True)
            ),
        )
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
