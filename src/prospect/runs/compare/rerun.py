"""How a run is done again: the command by which this very run, and no other of its sweep, starts anew."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from prospect.runs.compare.reading import Unreadable, read_config, read_yaml
from prospect.runs.compare.settings import ABSENT, flat, identity

HIDDEN = "***"  # a secret that was not kept; see runs/redact.py
PLACES = ("hydra.run.", "hydra.sweep.", "hydra.mode", "resume")  # a rerun gets a folder of its own


def command(folder: Path, facts: dict[str, Any]) -> str | None:
    """From the run's own overrides: the line that was typed may have been that of a whole sweep. None where Hydra's
    files are not there."""
    try:
        lines = overrides(folder)
        return None if lines is None else shlex.join([*_launcher(facts), _script(folder, facts), *lines])
    except Unreadable:
        return None


def overrides(folder: Path) -> list[str] | None:
    """With what later starts of the run changed, more steps for instance: Hydra's file is that of the first start."""
    lines = read_yaml(folder / ".hydra" / "overrides.yaml")
    if not isinstance(lines, list):
        return None
    changed = _changed(folder)
    kept = [str(line) for line in lines if not str(line).lstrip("+~").startswith(PLACES)]
    return [*(line for line in kept if _key(line) not in changed), *changed.values()]


def secrets(folder: Path) -> list[str]:
    """Keys whose value was not kept and has to be given again."""
    return [_key(line) for line in overrides(folder) or [] if HIDDEN in line]


def _changed(folder: Path) -> dict[str, str]:
    """By key, the override that gives it the value of the last start."""
    first = flat(read_config(folder / "config.start-1.yaml"))
    last = flat(read_config(folder / "config.yaml")) if first else {}
    keys = [key for key in last if key != "resume" and first and identity(first, key) != identity(last, key)]
    return {key: f"{'' if identity(first, key) != ABSENT else '+'}{key}={identity(last, key)}" for key in keys}


def _key(line: str) -> str:
    return line.partition("=")[0].lstrip("+~")


def _launcher(facts: dict[str, Any]) -> list[str]:
    """Several processes on one machine; over several machines the launcher's own words are not in the run's."""
    processes = facts.get("world_size")
    several = isinstance(processes, int) and processes > 1
    return ["torchrun", f"--nproc-per-node={processes}"] if several else ["python"]


def _script(folder: Path, facts: dict[str, Any]) -> str:
    """As it was called; a launcher's worker is another program, and there Hydra knows the job's name."""
    called = str(facts["argv"][0]) if facts["argv"] else ""
    if called.endswith(".py") and "site-packages" not in called:
        return called
    hydra = read_yaml(folder / ".hydra" / "hydra.yaml")
    job = hydra.get("hydra", {}).get("job", {}) if isinstance(hydra, dict) else {}
    return f"{job.get('name', 'train')}.py"
