"""Jobs side by side on this machine: as many at once as there are places, and in each place GPUs of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from prospect.errors import UserError
from prospect.runs import provenance
from prospect.runs.ending import STOPPED, say
from prospect.runs.sweeps.commands import Command, Commands, ended

POLL = 0.05  # seconds


def places(jobs: int | None, gpus: Sequence[str], ranks: int) -> list[str | None]:
    """CUDA_VISIBLE_DEVICES of each place, None where it stays as it is. More jobs than GPUs share them in turn."""
    if gpus and len(gpus) < ranks:
        raise UserError(
            f"hydra.launcher.ranks={ranks}, one GPU each, but of {len(gpus)} GPUs: hydra.launcher.gpus=[] for none"
        )
    groups = [",".join(gpus[start : start + ranks]) for start in range(0, len(gpus) - ranks + 1, ranks)]
    if not groups:
        return [None] * (jobs or 1)
    return [groups[place % len(groups)] for place in range(jobs or len(groups))]


def visible() -> list[str]:
    """Numbers, or the names that CUDA_VISIBLE_DEVICES gives."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [str(n) for n in range(len(provenance.gpus()))] if given is None else list(filter(None, given.split(",")))


class Local(Commands):
    def __init__(self, jobs: int | None = None, gpus: Sequence[int] | None = None, ranks: int = 1) -> None:
        self.ranks = ranks
        self.places = places(jobs, visible() if gpus is None else [str(gpu) for gpu in gpus], ranks)

    def run(self, commands: Sequence[Command]) -> dict[int, str]:
        waiting, free = list(commands), list(self.places)
        running: dict[int, tuple[subprocess.Popen[bytes], str | None]] = {}
        errors: dict[int, str] = {}
        with _signals() as signals:
            while (waiting and not signals) or running:
                while waiting and free and not signals:
                    command, gpus = waiting.pop(0), free.pop(0)
                    running[command.number] = (self.started(command, gpus), gpus)
                for number, (process, gpus) in list(running.items()):
                    if process.poll() is not None:
                        del running[number]
                        free.append(gpus)
                        errors[number] = ended(process.returncode)
                        say(f"job {number}: {errors[number] or 'done'}")
                pass_on(signals, [process for process, _ in running.values()])
                time.sleep(POLL)
        if signals:
            raise SystemExit(STOPPED) if len(signals) == 1 else KeyboardInterrupt
        return {number: error for number, error in errors.items() if error}

    def started(self, command: Command, gpus: str | None) -> subprocess.Popen[bytes]:
        say(f"job {command.number} starts" + (f" on GPU {gpus}" if gpus is not None else ""))
        several = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={self.ranks}"]
        words = [sys.executable, *(several if self.ranks > 1 else []), *command.words]
        own = {} if gpus is None else {"CUDA_VISIBLE_DEVICES": gpus}
        with command.log.open("ab") as log:
            return subprocess.Popen(
                words,
                env={**self.environment(), **own},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the sweep alone, which passes it on once
            )


class _Signals(list[int]):
    """The signals that came; `told` of them have been passed on."""

    told = 0


@contextmanager
def _signals() -> Iterator[_Signals]:
    """SIGINT and SIGTERM as a list in place of an exception: jobs are to end well before the sweep does."""
    came = _Signals()

    def note(number: int, frame: Any) -> None:
        came.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def pass_on(signals: _Signals, processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """The first one lets the jobs save a checkpoint; the second one ends them."""
    if signals.told == len(signals):
        return
    signals.told = len(signals)
    say("stopping: jobs save a checkpoint (again: stop at once)" if len(signals) == 1 else "stopping at once")
    for process in processes:
        if len(signals) == 1:
            process.send_signal(signal.SIGTERM)  # torchrun tells its ranks by itself
        else:
            os.killpg(process.pid, signal.SIGKILL)
