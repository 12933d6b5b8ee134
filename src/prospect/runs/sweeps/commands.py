"""Launchers whose jobs are commands: each job is `python train.py …` in a process of its own, as if it were typed."""

from __future__ import annotations

import os
import sys
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from prospect.runs.ending import BAD, FAILED, STOPPED
from prospect.runs.redact import HIDDEN
from prospect.runs.resume import key_of, quoted
from prospect.runs.sweeps import invocation
from prospect.runs.sweeps.table import output

CODES = {FAILED: "it failed", BAD: "it was refused", STOPPED: "it was stopped"}


@dataclass(frozen=True)
class Command:
    number: int
    words: list[str]  # the script and what follows; who starts it puts python or torchrun before
    log: Path  # of what it prints


class Commands(Launcher):
    """`overrides` of a job say its folder and number, as `sweeper.placed` writes them."""

    def setup(self, *, hydra_context: HydraContext, task_function: Callable[..., Any], config: DictConfig) -> None:
        given, _ = invocation.flags(sys.argv[1:])
        self.context, self.config = hydra_context, config
        self.script = [str(invocation.script(task_function)), *invocation.of_config(given)]
        self.folder = Path(str(config.hydra.sweep.dir)).absolute()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        output(self.folder, 0).parent.mkdir(parents=True, exist_ok=True)
        commands = [self.command(list(overrides)) for overrides in job_overrides]
        errors = self.run(commands)
        return [_returned(errors.get(command.number)) for command in commands]

    @abstractmethod
    def run(self, commands: Sequence[Command]) -> dict[int, str]:
        """Run them all; what went wrong, by number."""

    def command(self, overrides: list[str]) -> Command:
        job = self.context.config_loader.load_sweep_config(self.config, overrides)
        number, folder = int(job.hydra.job.num), Path(str(OmegaConf.select(job, "hydra.sweep.subdir")))
        of_hydra = invocation.only_own(self.config.hydra.overrides.hydra)
        if any(key_of(line) == "resume" for line in overrides):  # its own folder knows the rest
            lines = [f"resume={quoted(folder)}", *self._secrets(folder, overrides)]
        else:
            lines = [*invocation.only_own(overrides), f"hydra.run.dir={quoted(folder)}"]
        words = [*self.script, *of_hydra, *lines, f"hydra.job.num={number}"]
        return Command(number, words, output(self.folder, number))

    def _secrets(self, folder: Path, overrides: list[str]) -> list[str]:
        file = folder / ".hydra" / "overrides.yaml"
        kept = [str(line) for line in OmegaConf.load(file)] if file.is_file() else []
        hidden = {key_of(line) for line in kept if HIDDEN in line}
        return [line for line in overrides if key_of(line) in hidden]

    def environment(self) -> dict[str, str]:
        return {**os.environ, invocation.SWEEP: str(self.folder)}


def ended(code: int) -> str:
    """What an exit code says of a job; empty where it is done."""
    if code < 0:
        return f"killed by signal {-code}"
    return "" if code == 0 else f"exit code {code}: {CODES.get(code, 'it failed')}"


def _returned(error: str | None) -> JobReturn:
    returned = JobReturn()
    returned.status = JobStatus.FAILED if error else JobStatus.COMPLETED
    returned._return_value = RuntimeError(error) if error else None
    return returned
