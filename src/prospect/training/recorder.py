"""What a run writes while it learns: metrics.jsonl, TensorBoard, the terminal; and how it stops on a signal."""

from __future__ import annotations

import gc
import json
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard.writer import SummaryWriter
from transformers import TrainerCallback

from prospect.disk import write_atomically
from prospect.training.display import Display
from prospect.training.processes import summed


def named(logs: dict[str, Any]) -> dict[str, float]:
    """The Trainer's keys under the names that all files use: train/loss, val/accuracy."""
    numbers = {key: float(value) for key, value in logs.items() if isinstance(value, int | float)}
    return {
        f"val/{key.removeprefix('eval_')}" if key.startswith("eval_") else f"train/{key}": value
        for key, value in numbers.items()
    }


class Recorder(TrainerCallback):
    """A line a log step in metrics.jsonl, a scalar in TensorBoard, a line or a live bar on the terminal."""

    def __init__(self, folder: Path, epoch_steps: float):
        self.path = folder / "metrics.jsonl"
        self.boards = folder / "tensorboard"
        self.epoch_steps = epoch_steps
        self.writer: SummaryWriter | None = None
        self.display: Display | None = None
        self.began = 0.0

    def on_train_begin(self, args, state, control, **kwargs):
        gc.collect()
        gc.freeze()  # a full collection over torch's own objects would take 190 ms in the middle of a step
        self.began = time.monotonic()
        if not state.is_world_process_zero:
            return
        self.began -= forget_after(self.path, state.global_step)
        self.writer = SummaryWriter(str(self.boards), purge_step=state.global_step + 1 if state.global_step else None)
        self.display = Display(total=state.max_steps, done=state.global_step)

    @property
    def seconds(self) -> float:
        """Of training, over all starts of the run."""
        return time.monotonic() - self.began

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not state.is_world_process_zero or self.writer is None or self.display is None or "train_runtime" in logs:
            return
        numbers = named(logs)
        numbers.pop("train/epoch", None)
        epoch = round(state.global_step / self.epoch_steps, 4)
        line = {
            "step": state.global_step,
            "epoch": epoch,
            "seconds": round(self.seconds, 3),
            **numbers,
        }
        with self.path.open("a") as file:
            file.write(json.dumps({key: spelt(value) for key, value in line.items()}) + "\n")
        for key, value in numbers.items():
            self.writer.add_scalar(key, value, state.global_step)
        self.display.show(state.global_step, numbers)

    def on_step_end(self, args, state, control, **kwargs):
        if self.display is not None:
            self.display.advance(state.global_step)

    def on_train_end(self, args, state, control, **kwargs):
        gc.unfreeze()
        if self.writer is not None and self.display is not None:
            self.writer.close()
            self.display.close()


def spelt(value: float) -> float | str:
    """Strict JSON has no NaN; it is spelt out, so that it is seen and never read as a number."""
    return value if math.isfinite(value) else str(value)


def forget_after(path: Path, step: int) -> float:
    """Drop lines past the step that a resumed run goes on from, and a last line that was cut by a kill.

    Returns the seconds of training that the lines before it took.
    """
    if not path.is_file():
        return 0.0
    kept, seconds = [], 0.0
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["step"] <= step:
            kept.append(line)
            seconds = row.get("seconds", 0.0)
    write_atomically(path, "".join(f"{line}\n" for line in kept))
    return seconds


class StopOnSignal(TrainerCallback):
    """SIGTERM or Ctrl-C: save at the end of the step and stop. A second one interrupts at once.

    Within a second they are one: launchers pass on what a terminal or a cluster has told every process already.
    """

    def __init__(self) -> None:
        self.asked = False
        self._asked_at = 0.0
        self.stopped = False
        self._before: dict[int, Any] = {}

    def on_train_begin(self, args, state, control, **kwargs):
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._ask)

    def on_train_end(self, args, state, control, **kwargs):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked:
            if time.monotonic() - self._asked_at < 1:
                return
            raise KeyboardInterrupt
        self.asked, self._asked_at = True, time.monotonic()
        os.write(2, b"\nsaving a checkpoint at the end of this step, then stopping (again: stop at once)\n")

    def on_step_end(self, args, state, control, **kwargs):
        # Signals reach the ranks at different steps: they stop together, at the first step that any of them was asked.
        if summed(torch.tensor(int(self.asked), device=args.device)).item():
            self.stopped = state.global_step < state.max_steps
            control.should_save = control.should_training_stop = self.stopped
            control.should_evaluate = False
        return control
