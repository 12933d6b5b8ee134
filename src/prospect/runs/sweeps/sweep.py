"""A sweep's folder: `sweep.json` says which jobs there are, each job's own folder what became of it.

`sweep.resume=DIR` goes on with one: what is done stays as it is, the rest runs, in the folders that it had.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from prospect.disk import write_atomically
from prospect.errors import UserError
from prospect.runs import claim
from prospect.runs.compose import Composed
from prospect.runs.overrides import renamed
from prospect.runs.redact import HIDDEN, redacted
from prospect.runs.resume import asked as asked_for
from prospect.runs.resume import key_of, quoted
from prospect.runs.strict_json import to_json
from prospect.runs.sweeps.invocation import launches

FILE = "sweep.json"
LOGS = "logs"  # what jobs with a process of their own print
MISSING, BROKEN = "MISSING", "BROKEN"  # beside the states of a run: never started, run.json unreadable
OURS = "hydra_plugins.prospect_sweeps.Sweeper"
SUBMITIT = {"hydra_plugins.prospect_sweeps.Slurm", "hydra_plugins.prospect_sweeps.SlurmHere"}
HYDRAS = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
_OF_THE_START = {"hydra.mode", "hydra.sweep.dir", "hydra.sweeper._target_"}  # given anew at every start


@dataclass(frozen=True)
class Job:
    number: int
    folder: Path
    overrides: Sequence[str]

    @property
    def state(self) -> str:
        """RUNNING, DONE, FAILED, INTERRUPTED or KILLED; MISSING before it began, BROKEN where that cannot be read."""
        if not (self.folder / claim.FILE).exists():
            return MISSING
        try:
            return str(claim.read(self.folder)["state"])
        except UserError:
            return BROKEN


def write(folder: Path, command: str, overrides: Sequence[str], jobs: Sequence[Job]) -> None:
    rows = [
        {"job": job.number, "folder": str(job.folder.relative_to(folder)), "overrides": list(job.overrides)}
        for job in jobs
    ]
    facts = {"schema": 1, "command": command, "started": claim.now(), "overrides": list(overrides), "jobs": rows}
    write_atomically(folder / FILE, to_json(redacted(facts)))


def jobs(folder: Path) -> list[Job]:
    return [Job(row["job"], folder / row["folder"], row["overrides"]) for row in read(folder)["jobs"]]


def read(folder: Path) -> dict[str, Any]:
    file = folder / FILE
    try:
        facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"sweep.resume={folder}: no folder of a sweep, it has no {FILE}") from None
    except ValueError as error:
        raise UserError(f"sweep.resume={folder}: {file} is no JSON ({error})") from None
    return facts


# --- before it starts


def plugins(composed: Composed) -> list[str]:
    """The override by which Hydra's own order of jobs is run by `sweeper.Sweep`; other sweepers stay themselves."""
    return [f"hydra.sweeper._target_={OURS}"] if composed.multirun and composed.sweeper == HYDRAS else []


def check(composed: Composed, resume: bool) -> None:
    if resume and composed.sweeper != HYDRAS:
        raise UserError(f"sweep.resume goes on with lists of jobs; {composed.sweeper} makes up its own")
    if composed.launcher in SUBMITIT and not find_spec("submitit"):
        raise UserError("this launcher needs submitit, which is not installed: pip install submitit==1.5.4")


# --- sweep.resume=DIR


def asked(lines: list[str]) -> Path | None:
    return asked_for(lines, "sweep.resume")


def resumed(folder: Path, lines: list[str]) -> list[str]:
    """The overrides that the sweep was started with. What is typed again must agree with them, but for the launcher
    and for secrets, which no folder keeps."""
    old = [line for line in read(folder)["overrides"] if key_of(line) not in _OF_THE_START]
    new = [renamed(line) for line in lines if key_of(line) != "sweep.resume"]
    launcher = [line for line in new if launches(line)]
    if launcher:
        old = [line for line in old if not launches(line)]
    known, secrets = set(map(_bare, old)), {key_of(line) for line in old if HIDDEN in line}
    strange = [
        line for line in new if line not in launcher and key_of(line) not in secrets and _bare(line) not in known
    ]
    if strange:
        told = "\n  ".join(redacted(strange))
        raise UserError(f"sweep.resume={folder} goes on with that sweep as it is, which has no\n  {told}")
    return [*with_secrets(old, new), *launcher, f"hydra.sweep.dir={quoted(folder)}"]


def with_secrets(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """The old overrides with the secrets of the new ones."""
    given = {key_of(line): line for line in new}
    lost = [key_of(line) for line in old if HIDDEN in line and key_of(line) not in given]
    if lost:
        raise UserError(f"sweep.resume: give {', '.join(lost)} again, secrets are not kept in folders")
    return [given[key_of(line)] if HIDDEN in line else line for line in old]


def _bare(line: str) -> str:
    return line.lstrip("+")
