"""Jobs of SLURM through submitit: one array, each task of a job a rank of it.

What is queued is a command and no function of ours, so that a job runs as it would if it were typed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from omegaconf import OmegaConf

from prospect.runs.ending import say
from prospect.runs.sweeps.commands import Command, Commands, ended

PLUGINS = {"submitit_folder", "max_num_timeout"}  # keys that only Hydra's plugin has
POLL = 0.5  # seconds; submitit itself asks SLURM less often
SHARED = (
    "name",
    "stderr_to_stdout",
    "timeout_min",
    "mem_gb",
    "nodes",
    "cpus_per_task",
    "gpus_per_node",
    "tasks_per_node",
)  # of all its clusters


class Queue(Commands):
    """Parameters have submitit's own names, as in Hydra's plugin for it; those of sbatch that submitit does not know go
    into additional_parameters."""

    cluster = "slurm"

    def __init__(self, name: str = "prospect", **parameters: Any) -> None:
        given = {"name": name} | {key: value for key, value in parameters.items() if key not in PLUGINS}
        kept = {
            key: OmegaConf.to_object(value) if OmegaConf.is_config(value) else value for key, value in given.items()
        }
        own = {key: value for key, value in kept.items() if value is not None and value != {}}
        self.parameters = {key if key in SHARED else f"{self.cluster}_{key}": value for key, value in own.items()}

    def executor(self, folder: Path) -> Any:
        import submitit

        executor = submitit.AutoExecutor(folder=folder, cluster=self.cluster)
        executor.update_parameters(**self.parameters)
        return executor

    def run(self, commands: Sequence[Command]) -> dict[int, str]:
        executor = self.executor(self.folder / ".submitit" / "%j")
        words = [[sys.executable, *command.words] for command in commands]
        jobs = executor.map_array(
            ranked, words, [str(command.log) for command in commands], [str(self.folder)] * len(words)
        )
        for command, job in zip(commands, jobs, strict=True):
            say(f"job {command.number} is {self.cluster} job {job.job_id}")
        try:
            while any(not job.done() for job in jobs):
                time.sleep(POLL)
        except BaseException:
            say("stopping: the jobs are cancelled")
            for job in jobs:
                job.cancel()
            raise
        finally:
            for job in jobs:  # they hold the command line, secrets and all
                job.paths.submitted_pickle.unlink(missing_ok=True)
        return {c.number: error for c, job in zip(commands, jobs, strict=True) if (error := problem(job))}


class Here(Queue):
    """The same in processes of this machine."""

    cluster = "local"


def problem(job: Any) -> str:
    """What submitit knows of a job that is over: the worst exit code of its tasks, or the state that SLURM gives."""
    error = job.exception()
    if error is None:
        return ended(max(job.results(), key=abs))
    last = (str(error).strip() or type(error).__name__).splitlines()[-1]
    return f"{job.state}: {last}"


def ranked(words: list[str], log: str, sweep: str) -> int:
    """In the job: this task's rank in the environment, then the command. Its exit code."""
    from submitit.helpers import TorchDistributedEnvironment

    from prospect.runs.sweeps.invocation import SWEEP

    os.environ.pop("MASTER_PORT", None)  # one that every job inherits would be taken
    environment = TorchDistributedEnvironment()
    if environment.world_size > 1:
        environment.export(set_cuda_visible_devices=False, overwrite=True)
    os.environ[SWEEP] = sweep
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # inherited: some clusters signal every process, and it would die
    with Path(log).open("ab") as file:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)

    def pass_on(number: int, frame: FrameType | None) -> None:
        process.send_signal(signal.SIGTERM)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):  # cancelled, cancelled, soon out of time
        signal.signal(number, pass_on)
    return process.wait()
