"""One run, one folder: who may write into it, what became of it, and whether its process still lives.

`run.json` is created exclusively, which is the claim on the folder. `.heartbeat` is renewed by a thread while the
process lives: from another host it is the only sign of life. Only rank 0 writes anything.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from omegaconf import OmegaConf

from prospect.disk import write_atomically
from prospect.errors import Stopped
from prospect.runs import claim, provenance
from prospect.runs.redact import redact_file, redact_known, redact_logs, redact_text, redacted
from prospect.runs.strict_json import to_json

log = logging.getLogger(__name__)

SCHEMA = 1
TRACEBACK_LINES = 30
PATIENCE = 300.0  # seconds that a rank waits for rank 0, which may still be compiling or waiting for a slow disk


class Run:
    """A context manager: DONE, INTERRUPTED or FAILED is written when its block is left."""

    def __init__(self, folder: Path, is_main: bool, facts: dict[str, Any]) -> None:
        self.folder = folder
        self.is_main = is_main
        self._facts = facts
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._clock = time.monotonic()
        self._heart = threading.Thread(target=self._beats, name="heartbeat", daemon=True)

    @classmethod
    def start(
        cls, folder: Path, config: dict[str, Any], seed: int, resume: bool = False, command: list[str] | None = None
    ) -> Self:
        """Claim the folder and write down where the run comes from. `resume` goes on with the run that lies there.
        On the other ranks: wait until rank 0 has claimed it."""
        folder = Path(folder).absolute()
        safe = redacted(config)  # on every rank: from here on its secrets are known to the logs
        redact_logs()
        if int(os.environ.get("RANK", "0")) > 0:
            claim.wait(folder, PATIENCE)
            return cls(folder, is_main=False, facts={})
        facts = _facts(seed, command or command_line())
        run = cls(folder, True, claim.again(folder, facts) if resume else claim.first(folder, facts))
        try:
            run._describe(safe)
        except BaseException as error:
            run._close(error)
            raise
        run._heart.start()
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.is_main:
            return
        self._over.set()
        self._heart.join()  # a late beat would outlive the run
        try:
            self._close(error)
        except OSError:  # a full disk must not hide what went wrong before it
            if error is None:
                raise
            log.exception("the end of the run could not be written into %s", self.folder)

    def record(self, **fields: Any) -> None:
        """Merge fields into run.json."""
        if self.is_main:
            with self._lock:
                self._facts.update(fields)
                write_atomically(self.folder / "run.json", to_json(redacted(self._facts)))

    def write_json(self, name: str, value: Any) -> None:
        """Strict JSON: NaN and infinities are written as the texts "NaN", "Infinity" and "-Infinity"."""
        self.write_text(name, to_json(value))

    def write_text(self, name: str, text: str) -> None:
        """A whole file of the folder, `predictions/test.jsonl` say, without secrets. Rank 0 only."""
        path = (self.folder / name).resolve()
        assert path.is_relative_to(self.folder.resolve()), f"{name} lies outside of the run folder"
        if self.is_main:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, redact_known(text))

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Add the seconds of the block to `timings`; a resumed run goes on counting."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._add_time(name, time.monotonic() - began)

    def _add_time(self, name: str, seconds: float) -> None:
        if self.is_main:
            with self._lock:
                timings = self._facts["timings"]
                self.record(timings={**timings, name: round(timings.get(name, 0.0) + seconds, 3)})

    def _describe(self, config: dict[str, Any]) -> None:
        """What may take a moment (git on a slow disk) comes after the claim."""
        claim.beat(self.folder)
        for file in [*self.folder.glob(".hydra/*.yaml"), *self.folder.parent.glob("multirun.yaml")]:
            redact_file(file)
        code = provenance.git()
        self._renew("config.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))
        self._renew("git.diff", redact_known(provenance.diff()) if code and code["dirty"] else "")
        self._facts["starts"][-1]["commit"] = code and code["commit"]
        self.record(git=code, versions=provenance.versions(), hardware=provenance.hardware())

    def _renew(self, name: str, text: str) -> None:
        """A resumed run may have another configuration or code: what the earlier start had stays, by its number."""
        path, earlier = self.folder / name, len(self._facts["starts"]) - 1
        if path.exists() and path.read_text("utf-8", "surrogateescape") == text:
            return
        if path.exists() and earlier:
            path.replace(path.with_name(f"{path.stem}.start-{earlier}{path.suffix}"))
        if text:
            write_atomically(path, text)

    def _beats(self) -> None:
        while not self._over.wait(claim.BEAT):
            try:
                claim.beat(self.folder)
            except OSError as error:  # a full disk now may have room again in ten seconds
                log.warning("no sign of life could be written into %s: %s", self.folder, error)

    def _close(self, error: BaseException | None) -> None:
        end = {"status": _status(error), "ended": claim.now(), "error": _described(error)}
        self._facts["starts"][-1].update(end)
        self._add_time("run", time.monotonic() - self._clock)
        self.record(**end)
        (self.folder / claim.HEARTBEAT).unlink(missing_ok=True)


def read(folder: Path) -> dict[str, Any]:
    """run.json, with `state`: its status, or KILLED when the process went without a word, and `alive`."""
    return claim.read(Path(folder))


def state(folder: Path) -> str:
    """RUNNING, DONE, FAILED, INTERRUPTED or KILLED."""
    return str(read(folder)["state"])


def _facts(seed: int, command: list[str]) -> dict[str, Any]:
    process = provenance.process()
    line, started = shlex.join(redacted(command)), claim.now()
    start = {"started": started, "ended": None, "status": "RUNNING", "command": line}
    return {
        "schema": SCHEMA,
        "status": "RUNNING",
        "error": None,
        "command": line,
        "cwd": str(Path.cwd()),
        "argv": redacted(list(sys.argv)),
        "seed": seed,
        "started": started,
        "ended": None,
        "pid": process["pid"],
        "process": process,
        "world_size": int(os.environ.get("WORLD_SIZE", "1")),
        "git": None,
        "versions": {},
        "hardware": {},
        "timings": {},
        "data": None,
        "starts": [{**start, "host": process["host"], "pid": process["pid"], "commit": None}],
    }


def command_line() -> list[str]:
    """As typed, the interpreter by its bare name."""
    return [Path(sys.orig_argv[0]).name, *sys.orig_argv[1:]]


def _status(error: BaseException | None) -> str:
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return "DONE"
    return "INTERRUPTED" if isinstance(error, Stopped | KeyboardInterrupt) else "FAILED"


def _described(error: BaseException | None) -> dict[str, str] | None:
    if error is None or _status(error) == "DONE":
        return None
    lines = "".join(traceback.format_exception(error)).splitlines()[-TRACEBACK_LINES:]
    return {
        "type": type(error).__name__,
        "message": redact_text(str(error)),
        "traceback": redact_text("\n".join(lines)),
    }
