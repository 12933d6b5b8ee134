"""Sweeps of the tiny model as a user runs them: killed and failed jobs end bit-equal, two ranks equal one process."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WORDS = ["data=element_demo", "data.train=60", "data.val=20", "data.test=20", "trainer.optimizer=adamw"]
WORDS += ["trainer.args.max_steps=30", "trainer.args.logging_steps=3", "trainer.args.save_steps=10"]
WORDS += ["trainer.args.per_device_train_batch_size=4", "trainer.args.warmup_steps=3"]
RATES = "1e-3,1e30,1e-4,1e-5"  # the second one breaks

pytestmark = pytest.mark.slow


def started(cwd: Path, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(ROOT / "train.py"), *words]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )


def python(cwd: Path, *words: str) -> tuple[int, str]:
    process = started(cwd, *words)
    _, told = process.communicate(timeout=600)
    return process.returncode, told


def facts(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def metrics(folder: Path) -> dict[str, float]:
    found = json.loads((folder / "metrics.json").read_text())
    return {key: value for key, value in found.items() if key != "train/seconds"}


def files(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def test_one_job_killed_and_one_failed(tmp_path):
    rates = ["-m", f"trainer.args.learning_rate={RATES}", "trainer.args.max_grad_norm=0"]
    words = [*WORDS, *rates, "launcher=local", "hydra.launcher.jobs=2", "hydra.sweep.dir=out"]
    process = started(tmp_path, *words)
    victim = tmp_path / "out" / "2"
    deadline = time.monotonic() + 300
    while not list((victim / "checkpoints").glob("step-*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(facts(victim)["pid"], signal.SIGKILL)
    _, told = process.communicate(timeout=600)
    assert process.returncode == 1
    assert "2 of 4 jobs are not done" in told
    assert "the loss is nan at step" in told or "the loss is inf at step" in told
    assert [facts(tmp_path / "out" / n)["status"] for n in "0123"] == ["DONE", "FAILED", "RUNNING", "DONE"]

    finished = {name: files(tmp_path / "out" / name) for name in "03"}
    code, told = python(tmp_path, "sweep.resume=out")
    assert code == 1, told  # job 1 breaks again, job 2 does not
    assert "1 of 4 jobs are not done" in told
    assert {name: files(tmp_path / "out" / name) for name in "03"} == finished
    assert [start["status"] for start in facts(victim)["starts"]] == ["KILLED", "DONE"]
    alone, told = python(tmp_path, *facts(victim)["command"].split()[2:], "hydra.run.dir=alone")
    assert alone == 0, told
    assert metrics(victim) == metrics(tmp_path / "alone")


@pytest.mark.parametrize(
    "launcher",
    [
        ["hydra/launcher=submitit_local", "hydra.launcher.tasks_per_node=2"],
        ["launcher=local", "hydra.launcher.ranks=2"],
    ],
    ids=["submitit", "local"],
)
def test_two_ranks_a_job_equal_one_process(launcher, tmp_path):
    pytest.importorskip("submitit")
    words = [*WORDS, "trainer.args.max_steps=4", "trainer.args.learning_rate=1e-4"]
    code, told = python(tmp_path, "-m", *words, "seed=0,1", *launcher, "hydra.sweep.dir=out")
    assert code == 0, told
    assert sorted(path.parent.name for path in (tmp_path / "out").rglob("run.json")) == ["0", "1"]
    assert facts(tmp_path / "out" / "1")["world_size"] == 2
    twice = "trainer.args.gradient_accumulation_steps=2"
    code, told = python(tmp_path, *words, twice, "seed=1", "hydra.run.dir=one")
    assert code == 0, told
    two, one = metrics(tmp_path / "out" / "1"), metrics(tmp_path / "one")
    assert two.keys() == one.keys()
    for key in two:
        assert two[key] == pytest.approx(one[key], abs=1e-5), key
