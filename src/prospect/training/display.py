"""Training on a terminal: a live bar on a person's screen, one plain line a log step anywhere else."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

log = logging.getLogger(__name__)


class Display:
    """`show` says numbers, `advance` moves the bar. Every line also goes to train.log."""

    def __init__(self, total: int, done: int = 0, console: Console | None = None):
        self.total = total
        console = console or Console()
        self.bar: Progress | None = None
        if console.is_terminal:
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
            self.bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
            self.task = self.bar.add_task("", total=total, completed=done)
            self.bar.start()

    def show(self, step: int, numbers: dict[str, float]) -> None:
        text = "  ".join(f"{key} {value:.4g}" for key, value in numbers.items())
        log.info("step %d/%d  %s", step, self.total, text)
        if self.bar is not None and "train/loss" in numbers:
            self.bar.update(self.task, description=f"loss {numbers['train/loss']:.4g}")

    def advance(self, step: int) -> None:
        if self.bar is not None:
            self.bar.update(self.task, completed=step)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
