"""All ranks of a torchrun share one folder, however late one of them starts, and every launch has its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SCRIPT = """
import os, sys, time
time.sleep(0.7 * int(os.environ["RANK"]))  # a rank that starts late
from prospect.runs.command import command
from prospect.runs.folder import Run
def job(run: Run, seed: int = 0) -> None:
    run.write_text(f"by-{os.environ['RANK']}.txt", "x")
sys.exit(command(job, config="config"))
"""
CONFIG = "seed: 0\nhydra: {run: {dir: 'outputs/${run_stamp:}'}}\n"


@pytest.mark.parametrize("launches", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_skewed_ranks_share_one_folder(tmp_path, launches):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text(CONFIG)
    (tmp_path / "job.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "job.py"]
    for _ in range(launches):
        done = subprocess.run(launch, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
    folders = [path.parent for path in (tmp_path / "outputs").rglob("run.json")]
    assert len(folders) == launches
    assert all([path.name for path in folder.glob("by-*")] == ["by-0.txt"] for folder in folders)
