"""The name of a run's folder: new for every start, one for all ranks of a launch. `${run_stamp:}` in a configuration.

`${now:…}` is neither: parallel starts within a second share it, and ranks that start a second apart do not.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from datetime import datetime
from functools import cache
from pathlib import Path

from omegaconf import OmegaConf

from prospect.errors import UserError
from prospect.runs import provenance

FORMAT = "%Y-%m-%d/%H-%M-%S"


def run_stamp() -> str:
    """`2026-11-21/04-33-14-07a23fa2`; the same for the life of this process, and after a fork a new one."""
    return os.environ.get("PROSPECT_RUN_STAMP") or _of_process(os.getpid())


@cache
def _of_process(pid: int) -> str:
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return _of_launch(os.getppid())
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("these processes share no launcher: give all of them one PROSPECT_RUN_STAMP or hydra.run.dir")
    return f"{datetime.now():{FORMAT}}-{pid % 0x10000:04x}{secrets.token_hex(2)}"


def _of_launch(agent: int) -> str:
    """From what the agent of torchrun is, so that ranks agree without talking, however late one starts."""
    environment = os.environ
    if int(environment.get("GROUP_WORLD_SIZE", "1")) > 1:
        raise UserError("the nodes of a launch share no process: give all of them one PROSPECT_RUN_STAMP")
    born = provenance.birth(agent)  # a pid alone comes back when the numbers run out
    restart = environment.get("TORCHELASTIC_RESTART_COUNT", "0")
    identity = (environment["TORCHELASTIC_RUN_ID"], restart, environment.get("MASTER_PORT", ""), agent, born)
    return f"{_date(born):{FORMAT}}-{hashlib.sha256(repr(identity).encode()).hexdigest()[:8]}"


def _date(born: str | None) -> datetime:
    """Linux gives clock ticks since boot, macOS a date. The present would differ between ranks."""
    if born is None:
        raise UserError("torchrun is gone, whose start names the run folder: set PROSPECT_RUN_STAMP or hydra.run.dir")
    if not born.isdigit():
        return datetime.strptime(born, "%a %b %d %H:%M:%S %Y")
    lines = Path("/proc/stat").read_text().splitlines()
    boot = int(next(line for line in lines if line.startswith("btime")).split()[1])
    return datetime.fromtimestamp(boot + int(born) / os.sysconf("SC_CLK_TCK"))


# Cached by OmegaConf as well: the jobs of a sweep inherit the cache, so that all of them see the sweep's stamp.
# At import, because a launcher's worker composes its job as soon as it has unpickled the command.
OmegaConf.register_new_resolver("run_stamp", run_stamp, use_cache=True, replace=True)
