"""Whose a run folder is. The claim is run.json, created exclusively; it holds as long as its process lives."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prospect.disk import write_atomically
from prospect.errors import UserError
from prospect.runs import provenance
from prospect.runs.strict_json import to_json

log = logging.getLogger(__name__)

FILE, HEARTBEAT, LOCK = "run.json", ".heartbeat", ".lock"
BEAT = 10.0  # seconds
STALE = 120.0  # generous: to wait two minutes is cheaper than two processes in one folder
POLL = 0.1


def check(folder: Path, resume: bool = False) -> None:
    """Raise what a start in this folder would meet. It writes nothing, so it can come before Hydra's own files."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"run folder {folder} is a file: choose another hydra.run.dir")
    if resume:
        _check_resumable(folder)
    elif (folder / FILE).exists():
        raise UserError(_taken(folder))


def first(folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Claim a new run folder. Of any number of processes exactly one gets it."""
    check(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / FILE, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        raise UserError(_taken(folder)) from None
    except OSError as error:
        raise UserError(
            f"run folder {folder} cannot be written: {error.strerror}. Choose another hydra.run.dir"
        ) from error
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(to_json(facts))
    return facts


def again(folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Take over the folder of a run that is over. Earlier starts, timings and recorded facts stay."""
    check(folder, resume=True)
    with _alone(folder):  # of two resumes at once, the second one sees the first as alive
        _check_resumable(folder)
        earlier = {key: value for key, value in read(folder).items() if key not in {"alive", "state"}}
        starts = earlier["starts"]
        if earlier["status"] == "RUNNING":
            starts[-1] |= {"status": "KILLED", "ended": _text(_last_sign(folder, earlier))}
        kept = {"started": earlier["started"], "timings": earlier["timings"], "starts": [*starts, *facts["starts"]]}
        facts = {**earlier, **facts, **kept, "data": facts["data"] or earlier["data"]}
        beat(folder)
        write_atomically(folder / FILE, to_json(facts))
    return facts


def wait(folder: Path, patience: float) -> None:
    """The other ranks: until rank 0 of this very launch has claimed the folder. One that has long been over, and that
    rank 0 therefore refuses, is not taken for it."""
    deadline = time.monotonic() + patience
    while not _claimed_by_rank_0(folder):
        if time.monotonic() > deadline:
            raise UserError(
                f"rank 0 has not claimed the run folder {folder} within {patience:.0f} s: see its own message"
            )
        time.sleep(POLL)


def _claimed_by_rank_0(folder: Path) -> bool:
    try:
        facts = read(folder)
    except UserError:  # not there yet, or being written
        return False
    launcher = facts["process"]["parent"] == os.getppid() and provenance.here(facts["process"])
    return bool(facts["alive"] or launcher)  # rank 0 of a tiny run may be done before a late rank looks


def read(folder: Path) -> dict[str, Any]:
    """run.json, with `alive` and `state`: its status, or KILLED when its process went without a word."""
    path = folder / FILE
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} is no run folder: it has no {FILE}") from None
    except (NotADirectoryError, PermissionError) as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(
            f"{path} is not complete JSON ({error}): the run was only just starting, or broke there"
        ) from None
    return judged(folder, facts)


def judged(folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """What run.json says, with `alive` and `state`."""
    alive = facts["status"] == "RUNNING" and _alive(folder, facts)
    killed = facts["status"] == "RUNNING" and not alive
    return {**facts, "alive": alive, "state": "KILLED" if killed else facts["status"]}


def beat(folder: Path) -> None:
    write_atomically(folder / HEARTBEAT, f"{time.time():.1f}\n", sync=False)


def now() -> str:
    return _text(time.time())


def _alive(folder: Path, facts: dict[str, Any]) -> bool:
    """A process of this machine can be asked for; one of another host, or of another container, gives signs of life."""
    owner = facts["process"]
    if provenance.here(owner):
        return provenance.birth(owner["pid"]) == owner["born"]
    return time.time() - _last_sign(folder, facts) < STALE


def _last_sign(folder: Path, facts: dict[str, Any]) -> float:
    started = datetime.fromisoformat(facts["starts"][-1]["started"]).timestamp()
    try:
        return max(started, float((folder / HEARTBEAT).read_text()))
    except FileNotFoundError:
        return started


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _check_resumable(folder: Path) -> None:
    facts = read(folder)
    if facts["alive"]:
        raise UserError(f"run folder {folder} is still being written by {_who(facts)}: wait for it or stop it first")


def _taken(folder: Path) -> str:
    elsewhere = "give this run a folder of its own with hydra.run.dir=DIR"
    try:
        facts = read(folder)
    except UserError as error:
        return f"run folder {folder} is taken and stays untouched ({error}): {elsewhere}"
    if facts["alive"]:
        return f"run folder {folder} is RUNNING, written by {_who(facts)}: {elsewhere}"
    choice = f"go on with it by resume={folder}, or {elsewhere}"
    return f"run folder {folder} holds a run ({facts['state']}) and stays untouched: {choice}"


def _who(facts: dict[str, Any]) -> str:
    return f"process {facts['process']['pid']} on {facts['process']['host']}"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Released by the system even when the process is killed inside."""
    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}:
                raise
            log.warning("%s lies on a file system without locks: start no second resume of it meanwhile", folder)
        yield
