"""The command line of one job of a sweep: what its own process is started with, and what runs it again."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from inspect import unwrap
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from prospect.runs.resume import key_of

SWEEP = "PROSPECT_SWEEP"  # the folder of the sweep, told to a job that has a process of its own
_REST = {"overrides", "config_name", "config_path", "help"}  # flags that reach Hydra in another way, or not at all
_LAUNCHER = ("launcher", "hydra.launcher", "hydra/launcher")
_PLACE = ("resume", "hydra.run.dir", "hydra.job.num", "hydra.output_subdir", "hydra.mode")
_SWEEP = ("hydra.sweep", "hydra.sweeper", "hydra/sweeper")


def flags(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Hydra's own parser; flags may stand anywhere among the overrides. Also the words that it does not know."""
    return get_args_parser().parse_known_intermixed_args(argv)


def words(given: argparse.Namespace) -> list[str]:
    """The flags as they are typed, for Hydra."""
    set_ones = {name: value for name, value in vars(given).items() if value not in (None, False) and name not in _REST}
    options = [(f"--{name.replace('_', '-')}", value) for name, value in set_ones.items()]
    return [part for name, value in options for part in ([name] if value is True else [name, str(value)])]


def of_config(given: argparse.Namespace) -> list[str]:
    """The flags that say where the configuration lies: those that every job of a sweep needs as well."""
    names = ("config_name", "config_path", "config_dir")
    pairs = [(f"--{name.replace('_', '-')}", getattr(given, name)) for name in names]
    return [part for name, value in pairs if value for part in (name, value)]


def script(main: Callable[..., Any]) -> Path:
    return Path(unwrap(main).__code__.co_filename).absolute()


def typed(main: Callable[..., Any], given: argparse.Namespace) -> list[str]:
    """How every job's own command line begins: `python train.py`."""
    path = script(main)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return [Path(sys.orig_argv[0]).name, str(shown), *of_config(given)]


def only_own(lines: Iterable[str]) -> list[str]:
    """Without what places and launches a job."""
    return [line for line in lines if not _is_any(key_of(line), (*_LAUNCHER, *_PLACE, *_SWEEP))]


def launches(line: str) -> bool:
    """Whether an override says how jobs are launched, and nothing of what they do."""
    return _is_any(key_of(line), _LAUNCHER)


def _is_any(key: str, names: Iterable[str]) -> bool:
    return any(key == name or key.startswith((f"{name}.", f"{name}@")) for name in names)


def sweep_of_job() -> dict[str, Any] | None:
    """{folder, job} of the sweep that the run, whose configuration Hydra holds, is a job of."""
    hydra = HydraConfig.get()
    folder = os.environ.get(SWEEP) or (hydra.sweep.dir if hydra.mode == RunMode.MULTIRUN else None)
    return {"folder": str(Path(folder).absolute()), "job": int(hydra.job.num)} if folder else None
