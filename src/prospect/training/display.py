"""Training on a terminal: a live bar on a person's screen, one plain line a log step anywhere else."""

from __future__ import annotations

import logging
import sys

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
            self.handlers = [(handler, handler.stream) for handler in _terminal_handlers()]
            for handler, _ in self.handlers:
                handler.setStream(sys.stdout)  # rich has put its own in place, which prints above the bar
                handler.addFilter(_is_for_people)

    def show(self, step: int, numbers: dict[str, float]) -> None:
        is_training = "train/loss" in numbers
        text = "  ".join(f"{key} {value:.4g}" for key, value in numbers.items())
        log.info("step %d/%d  %s", step, self.total, text, extra={"on_bar": is_training})
        if self.bar is not None and is_training:
            rate = numbers.get("train/learning_rate", 0.0)
            self.bar.update(self.task, description=f"loss {numbers['train/loss']:.4f}  lr {rate:.1e}")

    def advance(self, step: int) -> None:
        if self.bar is not None:
            self.bar.update(self.task, completed=step)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            for handler, stream in self.handlers:
                handler.setStream(stream)
                handler.removeFilter(_is_for_people)


def _terminal_handlers() -> list[logging.StreamHandler]:
    return [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)
    ]


def _is_for_people(record: logging.LogRecord) -> bool:
    """What the bar already shows needs no line on the screen."""
    return not record.__dict__.get("on_bar", False)
