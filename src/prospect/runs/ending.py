"""How a command ends: its exit code, what the terminal is told, what train.log keeps."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from prospect.errors import Stopped, UserError
from prospect.runs.check import Mistake
from prospect.runs.redact import redact_known, redact_text

FAILED, BAD, STOPPED, INTERRUPTED = 1, 2, 75, 130


def rank() -> int:
    return int(os.environ.get("RANK", "0"))


def refuse(script: str, mistakes: list[Mistake]) -> int:
    """Ranks see the same mistakes: rank 0 tells all, another one the first (it may be the only one to get that far)."""
    # `hubb_token: unknown` holds no value, and would itself look like a secret
    lines = [(redact_known if m.what == "unknown" or m.is_missing else redact_text)(str(m)) for m in mistakes]
    count = f"{len(lines)} mistake{'s' * (len(lines) > 1)}"
    told = "".join(f"\n  {line}" for line in lines) if rank() == 0 else f": {lines[0]}"
    say(f"{script}: {count} in the configuration, nothing was run{told}")
    return BAD


def told(error: Exception, folder: Path) -> int:
    """The traceback into train.log, one line to the terminal; the exit code."""
    log = folder / f"{HydraConfig.get().job.name}.log"
    if isinstance(error, UserError | Stopped):
        _into_files(str(error), None)
        say(redact_text(str(error)))
        return BAD if isinstance(error, UserError) else STOPPED
    _into_files("the run failed", error)
    if rank() > 0 or os.environ.get("HYDRA_FULL_ERROR") == "1":  # other ranks have no log
        print(redact_text("".join(traceback.format_exception(error))), file=sys.stderr)
    say(f"failed: {redact_text(line_of(error))}" + (f"  (traceback: {log})" if log.exists() else ""))
    return FAILED


def line_of(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _into_files(message: str, error: Exception | None) -> None:
    """As logging.exception would, but not to the terminal."""
    trace = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord(__name__, logging.ERROR, __file__, 0, message, None, trace)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


def say(message: str) -> None:
    prefix = f"[rank {rank()}] " if rank() > 0 else ""
    print(prefix + message, file=sys.stderr, flush=True)
