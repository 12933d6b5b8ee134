"""What became of the jobs of a sweep that are not done: a table for the terminal, and how to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from prospect.errors import UserError
from prospect.runs import claim
from prospect.runs.resume import quoted
from prospect.runs.sweeps.invocation import only_own
from prospect.runs.sweeps.sweep import LOGS, Job

WIDTH = 100  # of an error; the log has all of it


def table(folder: Path, jobs: Sequence[Job], states: Mapping[int, str], errors: Mapping[int, str]) -> str:
    failed = [job for job in jobs if states[job.number] != "DONE"]
    head = ("job", "state", "overrides", "last error", "log")
    told = told_apart(jobs)
    rows = [(str(j.number), states[j.number], told[j.number], error(j, errors), shown(log(j, folder))) for j in failed]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    count = f"sweep {shown(folder)}: {len(failed)} of {len(jobs)} jobs are not done"
    return "\n  ".join([count, *(line.rstrip() for line in lines), f"go on: sweep.resume={typed(folder)}"])


def told_apart(jobs: Sequence[Job]) -> dict[int, str]:
    """By number, the overrides that not all jobs have."""
    own = {job.number: only_own(job.overrides) for job in jobs}
    common = set.intersection(*map(set, own.values()))
    return {number: " ".join(line for line in lines if line not in common) for number, lines in own.items()}


def error(job: Job, errors: Mapping[int, str]) -> str:
    """The run's own last error; without one, what its launcher saw, or the last line of its log."""
    known = _recorded(job) or errors.get(job.number) or ""
    lines = [line.strip() for line in known.splitlines() if line.strip()]
    text = lines[-1] if lines else ""
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def _recorded(job: Job) -> str:
    try:
        facts = claim.read(job.folder)
    except UserError as problem:
        return str(problem) if (job.folder / claim.FILE).exists() else ""
    found = facts["error"]
    return f"{found['type']}: {' '.join(found['message'].split())}" if found and facts["status"] != "RUNNING" else ""


def log(job: Job, folder: Path) -> Path | None:
    """The run's log; what its process printed, where it did not get that far."""
    logs = [*sorted(job.folder.glob("*.log")), output(folder, job.number)]
    return next((path for path in logs if path.is_file() and path.stat().st_size), None)


def output(folder: Path, number: int) -> Path:
    return folder / LOGS / f"{number}.log"


def shown(path: Path | None) -> str:
    if path is None:
        return "-"
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def typed(folder: Path) -> str:
    text = shown(folder)
    return text if all(letter.isalnum() or letter in "/._-" for letter in text) else quoted(folder)
