"""A run folder in one entry: what became of the run, where it comes from, its settings and numbers.

Whatever the folder holds, there is an entry: one that cannot be read is BROKEN, and says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prospect.runs import claim
from prospect.runs.compare.comparison import Entry
from prospect.runs.compare.find import names
from prospect.runs.compare.reading import Unreadable, one_line, read_config, read_json
from prospect.runs.compare.rerun import command
from prospect.runs.compare.settings import flat
from prospect.runs.strict_json import as_number

SCHEMA = 1  # of run.json
BROKEN = "BROKEN"
STATES = ("RUNNING", "DONE", "FAILED", "INTERRUPTED")
FIELDS: dict[str, tuple[type, ...]] = {  # what run.json must hold for an entry
    "status": (str,),
    "error": (dict, type(None)),
    "argv": (list,),
    "seed": (int,),
    "started": (str,),
    "process": (dict,),
    "git": (dict, type(None)),
    "timings": (dict,),
    "data": (dict, type(None)),
    "starts": (list,),
}


def index(folders: Sequence[Path]) -> list[Entry]:
    return [entry(folder, name) for folder, name in zip(folders, names(list(folders)), strict=True)]


def entry(folder: Path, name: str) -> Entry:
    facts: dict[str, Any] = {}
    config: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    try:
        facts = read_facts(folder)
        state, problem = facts["state"], _problem(facts)
        metrics = _metrics(folder)
        config = read_config(folder / "config.yaml")
        if not config and state in {"DONE", "INTERRUPTED"}:  # others may have ended before they wrote it
            raise Unreadable("there is no config.yaml")
        if not metrics and state == "DONE":
            problem = "it measured nothing: there is no metrics.json"
    except Unreadable as error:
        state, problem = BROKEN, str(error)
    git = facts.get("git") or {}
    return Entry(
        folder=folder,
        name=name,
        state=state,
        problem=problem,
        log=_log(folder),
        command=command(folder, facts) if facts else None,
        seed=facts.get("seed"),
        commit=git.get("commit"),
        dirty=git.get("dirty"),
        started=facts.get("started"),
        seconds=as_number(facts.get("timings", {}).get("run")),
        config=flat(config),
        metrics=metrics,
        data=(facts.get("data") or {}).get("sha256"),
    )


def read_facts(folder: Path) -> dict[str, Any]:
    """run.json with its state. Only then can any other field of it be relied upon."""
    facts = read_json(folder / claim.FILE)
    if facts is None:
        raise Unreadable(_without_claim(folder))
    if facts.get("schema") != SCHEMA:
        raise Unreadable(f"run.json has schema {facts.get('schema')!r}; this version reads {SCHEMA}")
    wrong = [field for field, kinds in FIELDS.items() if not isinstance(facts.get(field, ...), kinds)]
    if wrong or facts["status"] not in STATES:
        raise Unreadable(f"run.json lacks a proper {', '.join(wrong or ['status'])}")
    try:
        return claim.judged(folder, facts)
    except (KeyError, IndexError, TypeError, ValueError, OSError) as error:  # of a RUNNING one: process and heartbeat
        raise Unreadable(f"whether it still runs cannot be told: {type(error).__name__}: {error}") from None


def _without_claim(folder: Path) -> str:
    try:
        is_empty = not any(folder.iterdir())
    except OSError as error:
        return f"the folder cannot be read: {error.strerror}"
    return "the folder is empty" if is_empty else "there is no run.json: no run, or one that broke while starting"


def _metrics(folder: Path) -> dict[str, float]:
    numbers = {key: as_number(value) for key, value in (read_json(folder / "metrics.json") or {}).items()}
    return {key: number for key, number in numbers.items() if number is not None}


def _problem(facts: dict[str, Any]) -> str | None:
    if facts["state"] == "KILLED":
        return "its process is gone without a word"
    error = facts["error"] or {}
    return one_line(f"{error.get('type')}: {error.get('message')}") if error else None


def _log(folder: Path) -> Path | None:
    try:
        return min((file for file in folder.iterdir() if file.suffix == ".log"), default=None)
    except OSError:  # the problem says so already
        return None
