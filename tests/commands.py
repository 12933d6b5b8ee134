"""The root scripts, started as a user starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **more}


def python(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / words[0]), *words[1:]]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=300)


def trained(cwd: Path, *words: str) -> Path:
    """The folder of a training that went through."""
    done = python("train.py", *words, "hydra.run.dir=run", cwd=cwd)
    assert done.returncode == 0, done.stderr[-3000:]
    return cwd / "run"
