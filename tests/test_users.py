"""Many users as a user runs them: zero-shot, one model for all, that model for one user, and each scored by user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
USERS = ["data=users_demo", "data.samples=6", "data.train_users=11-14", "data.val_users=74", "data.test_users=1-3"]
STEPS = [f"trainer.args.{key}=4" for key in ("max_steps", "eval_steps", "save_steps", "warmup_steps")]


def python(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(ROOT / words[0]), *words[1:]]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A LoRA on a fresh tiny model."""
    cwd = tmp_path_factory.mktemp("users")
    done = python("train.py", *USERS, *STEPS, "adapt=lora", "hydra.run.dir=run", cwd=cwd)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "test: by user" in done.stdout
    return cwd / "run"


def test_a_run_folder_is_scored_by_user_on_the_base_that_it_was_trained_on(run, tmp_path):
    done = python("evaluate.py", f"run={run}", "users=[1,3]", "hydra.run.dir=two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    whole, two = metrics(run), metrics(tmp_path / "two")
    assert {key.split("/")[2] for key in two if "/user/" in key} == {"1", "3"}
    for key in two:
        if "/user/" in key:
            assert two[key] == whole[key], key
    rows = [json.loads(line) for line in (tmp_path / "two" / "predictions" / "test.jsonl").read_text().splitlines()]
    assert {row["user"] for row in rows} == {1, 3}


def test_zero_shot_uses_the_same_code(tmp_path):
    done = python("evaluate.py", "model=tiny", *USERS, "users=1-3", "hydra.run.dir=zero", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert metrics(tmp_path / "zero")["test/users"] == 3


def test_users_of_another_split_are_refused_before_torch_is_imported(tmp_path):
    done = python("evaluate.py", "model=tiny", *USERS, "users=3-12", "hydra.run.dir=no", cwd=tmp_path)
    assert done.returncode == 2
    assert "user 4-12 is not in split=test, which has 1-3; split=train has 11-12" in done.stderr
    done = python("evaluate.py", "model=tiny", "data=element_demo", "data.test=5", "users=1", cwd=tmp_path)
    assert done.returncode == 2
    assert "element_demo is not told apart by users" in done.stderr


@pytest.mark.slow
def test_one_user_from_the_model_of_all(run, tmp_path):
    """The adapter of the run is merged, and the second one carries that base with it: the run may go."""
    person = ["data.person=2", "data.folds=3", f"model.path={run}"]
    done = python("train.py", *USERS, *STEPS, "adapt=lora", *person, "hydra.run.dir=mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    mine = metrics(tmp_path / "mine")
    assert mine["test/user/2/samples"] == mine["test/samples"] == 4
    done = python("evaluate.py", "run=mine", "hydra.run.dir=again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {key: mine[key] for key in metrics(tmp_path / "again")} == metrics(tmp_path / "again")
