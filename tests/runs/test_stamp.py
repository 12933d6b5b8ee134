"""One stamp a start, one a launch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from prospect.errors import UserError
from prospect.runs import stamp

SOURCE = Path(__file__).parents[2] / "src"
PRINT = "import sys; from prospect.runs.stamp import run_stamp; sys.stdout.write(run_stamp() + '\\n')"  # in one piece
LAUNCH = """
import os, subprocess, sys, time
environment = {**os.environ, "TORCHELASTIC_RUN_ID": "none", "MASTER_PORT": "29500", "WORLD_SIZE": "2"}
ranks = []
for rank in range(2):
    ranks.append(subprocess.Popen([sys.executable, "-c", sys.argv[1]], env={**environment, "RANK": str(rank)}))
    time.sleep(float(sys.argv[2]))
for rank in ranks:
    rank.wait()
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in ("PROSPECT_RUN_STAMP", "TORCHELASTIC_RUN_ID", "WORLD_SIZE", "GROUP_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    stamp._of_process.cache_clear()
    yield
    stamp._of_process.cache_clear()


def printed(*command: str) -> list[str]:
    return subprocess.run([sys.executable, "-c", *command], capture_output=True, text=True, check=True).stdout.split()


def test_twenty_parallel_starts_have_twenty_stamps():
    with ThreadPoolExecutor(20) as pool:
        stamps = [line for lines in pool.map(lambda _: printed(PRINT), range(20)) for line in lines]
    assert len(stamps) == len(set(stamps)) == 20


def test_skewed_ranks_share_a_stamp_and_launches_do_not():
    launches = [printed(LAUNCH, PRINT, skew) for skew in ("1.2", "0", "0")]
    assert [len(stamps) for stamps in launches] == [2, 2, 2]
    assert all(first == second for first, second in launches)
    assert len({first for first, _ in launches}) == 3


def test_a_launch_is_dated_by_its_start():
    (now, then) = printed(LAUNCH, PRINT, "0")
    assert now == then
    dated = time.mktime(time.strptime(now[:19], "%Y-%m-%d/%H-%M-%S"))
    assert abs(time.time() - dated) < 60


def test_stable_within_a_process_and_new_after_a_fork():
    here = stamp.run_stamp()
    assert stamp.run_stamp() == here
    reads, writes = os.pipe()
    if os.fork() == 0:
        os.write(writes, stamp.run_stamp().encode())
        os._exit(0)
    os.wait()
    assert os.read(reads, 100).decode() != here


def test_the_environment_decides(monkeypatch):
    monkeypatch.setenv("PROSPECT_RUN_STAMP", "mine")
    assert stamp.run_stamp() == "mine"


def test_processes_that_cannot_agree_are_told_to(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UserError, match="PROSPECT_RUN_STAMP"):
        stamp.run_stamp()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")
    with pytest.raises(UserError, match="PROSPECT_RUN_STAMP"):
        stamp.run_stamp()
