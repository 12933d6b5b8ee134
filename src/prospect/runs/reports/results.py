"""What an evaluation leaves in the run folder, and what it shows on the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from prospect.runs.folder import Run
from prospect.runs.reports import report_judge, report_stream, report_users, report_watched


class Scored(Protocol):
    """What `write_results` reads of a scored split: see evaluation/scored.py."""

    @property
    def metrics(self) -> dict[str, float]: ...
    @property
    def headline(self) -> tuple[str, ...]: ...
    @property
    def predictions(self) -> list[dict[str, Any]]: ...
    @property
    def confusion(self) -> dict[str, Any] | None: ...
    @property
    def events(self) -> list[dict[str, Any]] | None: ...
    @property
    def watched(self) -> list[dict[str, Any]] | None: ...
    @property
    def thresholds(self) -> dict[str, Any] | None: ...


def write_results(run: Run, scored: Mapping[str, Scored], more: Mapping[str, float] | None = None) -> None:
    """metrics.json, predictions/, and the task's own table; then the headline on the terminal."""
    metrics = {f"{split}/{name}": value for split, each in scored.items() for name, value in each.metrics.items()}
    run.write_json("metrics.json", metrics | dict(more or {}))
    for split, each in scored.items():
        run.write_text(f"predictions/{split}.jsonl", lines(each.predictions))
        if each.watched is not None:
            run.write_text(f"predictions/{split}.watched.jsonl", lines(each.watched))
    if not scored:  # there was no split with samples, which is said where they are looked for
        return
    console, (split, last) = Console(), list(scored.items())[-1]
    if last.confusion is not None:
        run.write_json("confusion.json", {"split": split, **last.confusion})
        draw_confusion(run, split, last.confusion)
        console.print(class_table(split, last))
    if last.thresholds is not None:  # those of all splits; one line, since the curves are thousands of numbers
        run.write_text("thresholds.json", json.dumps(last.thresholds, allow_nan=False) + "\n")
    for found in (report_users.by_kind(metrics), report_users.by_user(metrics)):
        if found:
            console.print(group_table(found))
    if last.events:
        run.write_json("events.json", {"split": split, "events": last.events})
        console.print(event_table(split, last.events))
    if decided := report_stream.decisions(metrics):
        console.print(decision_table(decided))
    if report_watched.splits(metrics):
        console.print(watched_table(metrics, dict.fromkeys(name for each in scored.values() for name in each.headline)))
        return
    for split, each in scored.items():
        said = "  ".join(f"{name.replace('_', ' ')} {each.metrics[name]:.3f}" for name in each.headline)
        console.print(f"{split}  {said}")


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def decision_table(decided: list[dict[str, Any]]) -> Table:
    """Both decisions of every split, at the threshold that was chosen for them."""
    table = Table("decision", "", title="decisions", box=None)
    table.title_justify, table.header_style = "left", "dim"
    for name in ("precision", "recall", "F1", "AP", "false alarms", "θ"):
        table.add_column(name, justify="right")
    for row in decided:
        rates = (row[key] for key in ("precision", "recall", "f1", "ap", "false_alarms", "threshold"))
        table.add_row(row["decision"], row["split"], *("" if rate is None else f"{rate:.3f}" for rate in rates))
    return table


def watched_table(metrics: Mapping[str, Any], headline: Iterable[str]) -> Table:
    """What the model did on its own; in brackets what one that never says anything gets.

    Below, dim, those of the headline that stand in no table: they are of decisions with the truth given before.
    """
    there = report_watched.splits(metrics)
    table = Table("", title="watched freely", box=None)
    table.title_justify, table.header_style = "left", "dim"
    for split in reversed(there):  # val, test
        table.add_column(split, justify="right")
    for measure in report_watched.MEASURES:
        cells = [_cell(metrics, split, measure) for split in reversed(there)]
        brackets = " (silence)" if measure.silence and any("(" in cell for cell in cells) else ""
        table.add_row(measure.name + brackets, *cells)
    verdicts = [report_judge.cell(metrics, split) for split in reversed(there)]
    if any(verdicts):
        table.add_row("(failed) judge, overall of 5", *verdicts)
    for name in headline:
        if not any(report_stream.is_in_tables(f"{split}/{name}", metrics) for split in there):
            cells = [_three(metrics.get(f"{split}/{name}")) for split in reversed(there)]
            table.add_row(f"given the truth: {name.replace('_', ' ')}", *cells, style="dim")
    return table


def _cell(metrics: Mapping[str, Any], split: str, measure: report_watched.Measure) -> str:
    value, silence = (_three(metrics.get(f"{split}/{key}")) for key in (measure.key, measure.silence))
    return f"({silence}) {value}" if silence else value


def _three(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def event_table(split: str, events: list[dict[str, Any]]) -> Table:
    """How often the decision was taken at events of each kind, and where nothing happens."""
    table = Table("decision", "at", "called", "of", "rate", title=f"{split}: decisions by kind of event", box=None)
    table.title_justify, table.header_style = "left", "dim"
    for column in table.columns[2:]:
        column.justify = "right"
    for row in events:
        counts = (f"{row['called']:,}", f"{row['of']:,}", f"{row['recall']:.3f}")
        style = "dim" if row["kind"] == report_stream.FALSE_ALARM else None
        table.add_row(row["decision"], Text(row["kind"]), *counts, style=style)
    return table


def group_table(found: report_users.Groups) -> Table:
    """A row a user, or a kind of answer."""
    table = Table(found.of, title=f"{found.split}: by {found.of}", title_justify="left", box=None, header_style="dim")
    for column in found.columns:
        table.add_column(column.name, justify="right")
    for name, cells in found.rows:
        table.add_row(Text(name), *cells)
    return table


def class_table(split: str, scored: Scored) -> Table:
    """Rows the truth, columns the answer, then precision, recall and F1 of each class."""
    assert scored.confusion is not None
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
