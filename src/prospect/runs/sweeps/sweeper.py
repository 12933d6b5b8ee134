"""Hydra's own order of jobs, with an end: no failure stops another job, and a table says what did not get done."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from prospect.runs.ending import BAD, FAILED, STOPPED, line_of, say
from prospect.runs.folder import command_line
from prospect.runs.redact import redact_text, redacted
from prospect.runs.resume import key_of, quoted
from prospect.runs.sweeps import sweep
from prospect.runs.sweeps.commands import Commands
from prospect.runs.sweeps.invocation import launches
from prospect.runs.sweeps.sweep import Job
from prospect.runs.sweeps.table import table

OVER = {"DONE", "RUNNING"}  # not to be started again; RUNNING is somebody else's


class Sweep(BasicSweeper):
    """In a folder that has a `sweep.json`, what is missing or failed of that sweep; elsewhere a new one."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.loader, self.settings = hydra_context.config_loader, config

    def sweep(self, arguments: list[str]) -> Any:
        folder = Path(str(self.settings.hydra.sweep.dir)).absolute()
        again = (folder / sweep.FILE).exists()
        jobs = self._old(folder, arguments) if again else self._new(folder, arguments)
        errors: dict[int, str] = {}
        try:
            self._launched([job for job in jobs if job.state not in OVER], errors)
        finally:  # also when a signal ends it
            states = {job.number: seen(job, errors) for job in jobs}
            if set(states.values()) != {"DONE"}:
                say(redact_text(table(folder, jobs, states, errors)))
        if set(states.values()) != {"DONE"}:
            raise SystemExit(STOPPED if set(states.values()) <= {"DONE", "INTERRUPTED"} else FAILED)
        return []

    # --- which jobs there are

    def _new(self, folder: Path, arguments: list[str]) -> list[Job]:
        parser = OverridesParser.create(config_loader=self.loader)
        lines = [*self._parse_config(), *arguments]
        (every,) = self.split_arguments(parser.parse_overrides(lines), None)
        jobs = [Job(number, self._folder(folder, number, own), own) for number, own in enumerate(every)]
        if len({job.folder for job in jobs}) < len(jobs):
            say(f"hydra.sweep.subdir={self.settings.hydra.sweep.subdir}: several jobs would share a folder")
            raise SystemExit(BAD)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.settings, folder / "multirun.yaml")
        overrides = self.settings.hydra.overrides
        sweep.write(folder, shlex.join(redacted(command_line())), [*overrides.hydra, *overrides.task], jobs)
        return jobs

    def _folder(self, folder: Path, number: int, overrides: Sequence[str]) -> Path:
        config = self.composed(number, overrides)
        return folder / str(OmegaConf.select(config, "hydra.sweep.subdir"))

    def composed(self, number: int, overrides: Sequence[str]) -> DictConfig:
        """Fails where a job cannot be composed, before any is launched."""
        config = self.loader.load_sweep_config(self.settings, list(overrides))
        with open_dict(config):
            config.hydra.job.num, config.hydra.job.id = number, str(number)
        return config

    def _old(self, folder: Path, arguments: list[str]) -> list[Job]:
        """As they were written down, with the launcher and the secrets of now."""
        launcher = [line for line in arguments if launches(line)]

        def now(job: Job) -> Job:
            own = [line for line in job.overrides if not launches(line)]
            return replace(job, overrides=[*launcher, *sweep.with_secrets(own, arguments)])

        return [now(job) for job in sweep.jobs(folder)]

    # --- running them

    def _launched(self, jobs: list[Job], errors: dict[int, str]) -> None:
        """A launcher that breaks, as joblib's does when a worker is killed, is given what had not begun."""
        assert self.launcher is not None
        while jobs:
            try:
                for batch in self._batches(jobs):
                    returns = self.launcher.launch([placed(job) for job in batch], initial_job_idx=batch[0].number)
                    for job, returned in zip(batch, returns, strict=True):
                        if returned.status == JobStatus.FAILED:
                            errors[job.number] = message(returned)
                return
            except Exception as error:  # noqa: BLE001  whatever a launcher raises, the other jobs shall run
                say(f"the launcher broke: {redact_text(line_of(error))}")
                errors |= {job.number: line_of(error) for job in jobs if job.state in {"KILLED", sweep.MISSING}}
                left = [job for job in jobs if job.state == sweep.MISSING]
                jobs = left if len(left) < len(jobs) else []

    def _batches(self, jobs: list[Job]) -> Iterator[list[Job]]:
        """Hydra's launchers count on from the first number: what they get must have no holes."""
        size = self.max_batch_size or len(jobs)
        batch: list[Job] = []
        for job in jobs:
            hole = batch and job.number != batch[-1].number + 1 and not isinstance(self.launcher, Commands)
            if hole or len(batch) == size:
                yield batch
                batch = []
            batch.append(job)
        yield batch


def placed(job: Job) -> list[str]:
    """The overrides with the place and the number of the job; one that has begun goes on from its newest checkpoint."""
    own = [line for line in job.overrides if key_of(line) != "resume"]
    again = [f"++resume={quoted(job.folder)}", "hydra.output_subdir=null"] if job.state != sweep.MISSING else []
    return [*own, *again, f"hydra.sweep.subdir={quoted(job.folder)}", f"hydra.job.num={job.number}"]


def seen(job: Job, errors: Mapping[int, str]) -> str:
    """Its state now that its launcher is back: signs of life from another host may outlive a job."""
    return "KILLED" if job.state == "RUNNING" and job.number in errors else job.state


def message(returned: JobReturn) -> str:
    return str(returned._return_value)
