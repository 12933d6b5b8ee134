"""The shell around every root script: compose, check, hand over to Hydra, run in a folder, exit with a true code."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from omegaconf import DictConfig

from prospect.errors import Stopped, UserError
from prospect.runs import claim, resume
from prospect.runs.check import Mistake
from prospect.runs.compose import VERSION, Composed, compose
from prospect.runs.ending import BAD, FAILED, INTERRUPTED, STOPPED, line_of, rank, refuse, say, told
from prospect.runs.faults import Conf
from prospect.runs.nearest import nearest
from prospect.runs.redact import redact_text
from prospect.runs.resolve import finished
from prospect.runs.signatures import Signature, of_callable
from prospect.runs.sweeps import invocation, sweep

QUIET = ["hydra.output_subdir=null", "hydra/job_logging=none", "hydra/hydra_logging=none"]


class JobFailed(CompactHydraException):
    """Carries a job's failure out of a launcher's worker, where its traceback lies in the job's own train.log."""


def command(
    main: Callable[..., Any], config: str, argv: list[str] | None = None, folder: bool = True, conf: Path | None = None
) -> int:
    """Run `main` as a root script does. Its signature is the top level of the configuration; conf/ lies beside it.
    `folder=False` is for what leaves no run behind."""
    try:
        return _command(main, config, sys.argv[1:] if argv is None else argv, folder, conf)
    except UserError as error:
        say(redact_text(str(error)))
        return BAD
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except SystemExit as end:  # Hydra's own way out
        return end.code if isinstance(end.code, int) else FAILED if end.code else 0


def _command(main: Callable[..., Any], config: str, argv: list[str], folder: bool, conf_folder: Path | None) -> int:
    flags = _flags(argv)
    script = Path(main.__code__.co_filename)
    conf = _conf(flags, config, script, conf_folder)
    schema = of_callable(main)
    if flags.help:
        from prospect.runs.help import help_text

        print(help_text(main, conf, schema))
        return 0
    if flags.hydra_help or flags.shell_completion:
        return _hydra(main, conf, flags, flags.overrides)
    old_sweep = sweep.asked(flags.overrides) if folder else None
    if old_sweep:
        flags.overrides, flags.multirun = sweep.resumed(old_sweep, flags.overrides), True
    old = resume.asked(flags.overrides) if folder else None
    scored = resume.asked(flags.overrides, "run") if folder and "run" in schema.parameters else None
    lines = _lines(flags, old)
    if scored:  # the run's own data and settings, then what this command line says
        lines = [*resume.settings(scored), *lines]
    composed = compose(conf, lines, schema, flags.multirun)
    if composed.mistakes:
        return refuse(script.name, composed.mistakes)
    shows_only = flags.cfg or flags.info
    if not shows_only:
        _check_start(composed, folder, old, old_sweep)
    if shows_only or folder:
        lines = [*composed.overrides, *sweep.plugins(composed)]
        return _hydra(_Job(main, schema, invocation.typed(main, flags)), conf, flags, lines)
    return _without_folder(main, composed.config)


# --- the command line


def _flags(argv: list[str]) -> argparse.Namespace:
    """Hydra's own parser; flags may stand anywhere among the overrides."""
    flags, unknown = invocation.flags(argv)
    for flag in unknown:
        parser = get_args_parser()
        known = [option for action in parser._actions for option in action.option_strings]
        guess = flag.lstrip("-") if "=" in flag else nearest(flag, known)
        raise UserError(str(Mistake(flag, "keys have no dashes" if "=" in flag else "no such flag", guess)))
    if flags.experimental_rerun:
        raise UserError("--experimental-rerun would load a pickle: give the overrides again, or use resume=DIR")
    ways = {"--run": flags.run, "--multirun": flags.multirun, "--cfg": flags.cfg, "--info": flags.info}
    asked = [way for way, is_asked in ways.items() if is_asked]
    if len(asked) > 1:
        raise UserError(f"{' and '.join(asked)} exclude each other: keep one of them")
    return flags


def _conf(flags: argparse.Namespace, config: str, script: Path, folder: Path | None) -> Conf:
    folder = folder or script.parent / (flags.config_path or "conf")
    extra = Path(flags.config_dir) if flags.config_dir else None
    for place in filter(None, (folder, extra)):
        if not place.is_dir():
            raise UserError(f"there is no folder {place} to read configurations from")
    return Conf(folder.absolute(), flags.config_name or config, extra, script.stem)


def _lines(flags: argparse.Namespace, old: Path | None) -> list[str]:
    lines = list(flags.overrides)
    if old:
        lines = resume.resumed(old, lines, is_main=rank() == 0)
    if rank() > 0:
        ours = {line.partition("=")[0] for line in QUIET}
        lines = [*(line for line in lines if line.partition("=")[0] not in ours), *QUIET]
    return lines


def _check_start(composed: Composed, folder: bool, old: Path | None, old_sweep: Path | None) -> None:
    """Before Hydra writes its own files: what is there stays untouched. Only rank 0 asks, others may come later."""
    if composed.multirun and not folder:
        raise UserError("this command leaves no run folders and cannot be swept: leave out -m")
    if composed.multirun and old:
        raise UserError("resume=DIR goes on with one run: leave out -m")
    if composed.multirun and "TORCHELASTIC_RUN_ID" in os.environ:
        raise UserError("a sweep under torchrun would run every job in every rank: use -m with a launcher instead")
    if composed.multirun:
        sweep.check(composed, resume=old_sweep is not None)
    if old:
        for difference in resume.compare(old, composed.config) if rank() == 0 else []:
            say(f"resume: {difference}")
    elif folder and not old_sweep and rank() == 0 and composed.folder:
        claim.check(composed.folder)
        taken = next(composed.folder.rglob(claim.FILE), None) if composed.multirun else None
        if taken:
            go_on = "go on with it by sweep.resume=DIR, or " if (composed.folder / sweep.FILE).exists() else ""
            raise UserError(
                f"{composed.folder} holds runs ({taken.parent.name}): {go_on}choose another hydra.sweep.dir"
            )


# --- running


def _hydra(task: Any, conf: Conf, flags: argparse.Namespace, overrides: list[str]) -> int:
    """Everything that Hydra does with a checked command line: run, launch, sweep, print."""
    before = sys.argv
    sys.argv = [before[0], *invocation.words(flags), *overrides]
    try:
        hydra.main(version_base=VERSION, config_path=str(conf.folder), config_name=conf.name)(_named_as(task))()
    finally:
        sys.argv = before
    return task.code if isinstance(task, _Job) else 0


def _named_as(task: Any) -> Callable[[DictConfig], Any]:
    """Hydra names its job after the function's file, and takes no other callable."""

    @wraps(task.main if isinstance(task, _Job) else task)
    def job(config: DictConfig) -> Any:
        return task(config)

    return job


@dataclass
class _Job:
    """One run in its folder. Exit codes are kept here, since Hydra turns every failure into 1."""

    main: Callable[..., Any]
    schema: Signature
    typed: list[str]  # how its command line begins
    home: int = field(default_factory=os.getpid)
    code: int = 0

    def __call__(self, config: DictConfig) -> Any:
        folder = Path(HydraConfig.get().runtime.output_dir)
        try:
            return self.run(folder, config)
        except Exception as error:  # noqa: BLE001  told below, whatever it is
            code = told(error, folder)
            if os.getpid() != self.home:  # in a launcher's worker: the code kept there would be lost
                raise JobFailed(f"{folder}: {redact_text(line_of(error))}") from None
            self.code = self.code or code
            if isinstance(error, Stopped):  # the signal was for the whole sweep
                raise SystemExit(STOPPED) from None
            return None  # Hydra goes on with the other jobs of a sweep

    def run(self, folder: Path, config: DictConfig) -> Any:
        from prospect.runs.folder import Run
        from prospect.runs.reports.report import reported

        checked = finished(config, self.schema)
        if checked.mistakes:
            raise UserError("\n".join(map(str, checked.mistakes)))
        plain = checked.config
        seed, again = int(plain.get("seed") or 0), bool(plain.get("resume"))
        part = invocation.sweep_of_job()
        if part and again:
            resume.compare(folder, plain)
        own = [*self.typed, *invocation.only_own(HydraConfig.get().overrides.task)] if part else None
        run = Run.start(folder, plain, seed, again, own)
        if part:
            run.record(sweep=part)
        with reported(run), run:
            return self.main(run, **plain)


def _without_folder(main: Callable[..., Any], config: dict[str, Any]) -> int:
    try:
        main(**config)
    except UserError:
        raise
    except Exception:  # noqa: BLE001  told whole
        traceback.print_exc()
        return FAILED
    return 0
