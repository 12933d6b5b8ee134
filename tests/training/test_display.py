"""On a terminal the bar shows the loss and lines stand above it; elsewhere every log step is one line. NaN is NaN."""

from __future__ import annotations

import io
import logging
import math

import pytest
from rich.console import Console

from prospect.training.display import Display, line


@pytest.fixture
def handler():
    root, handler = logging.getLogger(), logging.StreamHandler(io.StringIO())
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


def shown(terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    display = Display(4, console=console)
    display.show(1, {"train/loss": math.nan, "train/learning_rate": 1e-3})
    display.advance(1)
    display.show(1, {"val/loss": 0.25})
    display.close()
    return console.file.getvalue()


def test_plain_lines(handler):
    assert shown(terminal=False) == ""
    lines = handler.stream.getvalue().splitlines()
    assert lines == ["step 1/4  train/loss nan  train/learning_rate 0.001", "step 1/4  val/loss 0.25"]


def test_a_bar_with_lines_above_it(handler):
    stream = handler.stream
    drawn = shown(terminal=True)
    assert "loss nan" in drawn
    assert "step 1/4  val/loss 0.25" in drawn
    assert "train/learning_rate" not in drawn  # the bar shows it
    assert handler.stream is stream
    assert handler.filters == []


def test_of_few_numbers_all_are_said():
    numbers = {"train/loss": 0.5, "train/grad_norm": 1.25, "train/learning_rate": 1e-3, "train/loss_answer": 0.5}
    assert line(numbers) == "train/loss 0.5  train/grad_norm 1.25  train/learning_rate 0.001  train/loss_answer 0.5"


def test_of_many_numbers_only_what_says_how_it_goes():
    terms = ("speaking_gen", "dst_gen", "speaking_binary", "dst_binary")
    train = {"train/loss": 5.0, "train/grad_norm": 9.0, "train/learning_rate": 1e-3}
    train |= {f"train/loss_{term}": float(number) for number, term in enumerate(terms)}
    assert line(train) == (
        "train/loss 5  train/learning_rate 0.001  speaking_gen 0  dst_gen 1  speaking_binary 2  dst_binary 3"
    )
    val = {"val/loss": 5.0, **{f"val/loss_{term}": 1.0 for term in terms}, "val/token_accuracy": 0.5}
    for name in ("speak", "dst"):
        val |= {f"val/{name}/{rate}": 0.25 for rate in ("token_accuracy", "exact", "precision", "recall", "f1", "ap")}
    assert line(val) == "val/loss 5  val/speak/exact 0.25  val/speak/f1 0.25  val/dst/exact 0.25  val/dst/f1 0.25"
