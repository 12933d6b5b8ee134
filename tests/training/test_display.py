"""On a terminal the bar shows the loss and lines stand above it; elsewhere every log step is one line. NaN is NaN."""

from __future__ import annotations

import io
import logging
import math

import pytest
from rich.console import Console

from prospect.training.display import Display


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
