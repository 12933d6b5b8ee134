"""Training on a terminal: a live bar on a person's screen, one plain line a log step anywhere else."""

from __future__ import annotations

import logging
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

log = logging.getLogger(__name__)

FEW = 6  # so many numbers stand in a line; of more, the ones that say how it goes
TERM = "train/loss_"
SAID = ("loss", "learning_rate", "accuracy", "macro_f1", "reward", "f1", "exact", "preference_accuracy")


def line(numbers: dict[str, float]) -> str:
    """All of a few numbers; of many, the loss with its terms while training, and what it comes to on val."""
    if len(numbers) <= FEW:
        return "  ".join(f"{key} {value:.4g}" for key, value in numbers.items())
    return "  ".join(f"{key.removeprefix(TERM)} {value:.4g}" for key, value in numbers.items() if _is_said(key))


def _is_said(key: str) -> bool:
    return key.startswith(TERM) or key.rsplit("/", 1)[-1] in SAID


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
        log.info("step %d/%d  %s", step, self.total, line(numbers), extra={"on_bar": is_training})
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
