"""The command by which a run is done again is its own, and gives the very same numbers."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from prospect.runs.compare.command import main
from prospect.runs.compare.index import index

ROOT = Path(__file__).parents[3]


def command(folder):
    (entry,) = index([folder])
    return entry.command


def test_a_job_of_a_sweep_has_a_command_of_its_own(folders):
    argv = ["train.py", "-m", "seed=0,1", "hydra.sweep.dir=x"]
    folder = folders.write("a", 1, overrides=["loss.name='a b'", "hydra.run.dir=/x", "resume=y"], argv=argv)
    assert shlex.split(command(folder)) == ["python", "train.py", "loss.name='a b'", "seed=1"]


def test_several_processes_and_a_launchers_worker(folders):
    folder = folders.write("a", argv=["/x/site-packages/submitit/core/_submit.py"], world_size=2)
    (folder / ".hydra" / "hydra.yaml").write_text("hydra: {job: {name: evaluate}}")
    assert command(folder) == "torchrun --nproc-per-node=2 evaluate.py seed=0"


def test_what_a_later_start_changed_is_part_of_it(folders):
    folder = folders.write("a", overrides=["trainer.args.max_steps=10"])
    (folder / "config.yaml").rename(folder / "config.start-1.yaml")
    folders.describe(folder, {"trainer.args.max_steps": 20, "resume": "x", "trainer.args.save_steps": 5})
    assert shlex.split(command(folder))[2:] == ["seed=0", "trainer.args.max_steps=20", "+trainer.args.save_steps=5"]


def test_it_says_commit_changes_and_what_is_lost(folders, capsys):
    git = {"commit": "a" * 40, "branch": None, "dirty": True, "untracked": 2}
    folder = folders.write("a", overrides=["trainer.args.hub_token=***"], git=git, data={"sha256": "b" * 64})
    (folder / "git.diff").write_text("diff\n")
    assert main([str(folder), "--rerun"]) == 0
    said = capsys.readouterr().out
    assert f"config  {folder / 'config.yaml'}" in said
    assert f"# commit  {'a' * 40}  (with changes)" in said
    assert "2 files were not tracked" in said
    assert "give trainer.args.hub_token again" in said
    assert said.splitlines()[-4:-1] == [
        f"cd {folders.root}",
        f"git checkout {'a' * 40}",
        f"git apply {folder}/git.diff",
    ]


@pytest.mark.parametrize("names", [["a", "b"], ["broken"]])
def test_it_is_of_one_whole_run(folders, names, capsys):
    for name in names:
        folder = folders.write(name)
    if names == ["broken"]:
        (folder / "run.json").write_text("{")
    assert main([str(folders.root), "--rerun"]) == 2
    assert "--rerun is of one run" in (err := capsys.readouterr().err) or "not complete JSON" in err


@pytest.mark.slow
def test_a_rerun_gives_the_same_numbers_to_the_last_bit(tmp_path):
    small = ["data.train=6", "data.val=3", "data.test=3", "data.captions_count=20", "data.dense_count=6"]
    words = ["train.py", *small, "trainer.args.max_steps=4", "seed=3", f"hydra.run.dir={tmp_path / 'first'}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    run(*words)
    lines = run("compare.py", str(tmp_path / "first"), "--rerun").splitlines()
    assert f"cd {ROOT}" in lines
    assert not [line for line in lines if line.startswith("git")]  # this code is what the run had
    _, *again = shlex.split(lines[-1])
    assert not [word for word in again if word.startswith("hydra")]
    run(*again, f"hydra.run.dir={tmp_path / 'second'}")
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("first", "second"))
    assert one.pop("train/seconds") != two.pop("train/seconds")
    assert one == two
    assert len(one) > 100
