"""Sweeps: what fails stops no other job and is told at the end; `sweep.resume=DIR` does the rest, and nothing else."""

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

from prospect.errors import UserError
from prospect.runs.sweeps import sweep

SOURCE = Path(__file__).parents[3] / "src"
SEEDS = ["-m", "seed=0,1,2,3", "hydra.sweep.dir=out"]
LAUNCHERS = {
    "local": ["launcher=local", "hydra.launcher.jobs=2"],
    "joblib": ["launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit": ["hydra/launcher=submitit_local"],
}

PACKAGES = {"joblib": "hydra_plugins.hydra_joblib_launcher", "submitit": "submitit"}


def trouble(repository: Path, **what: str) -> None:
    """What happens to the job of a seed: `trouble(repository, s1="fails")`; nothing any more without words."""
    (repository / "trouble").write_text(json.dumps({seed.lstrip("s"): word for seed, word in what.items()}))


def files(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def facts(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def states(folder: Path) -> list[str]:
    return [job.state for job in sweep.jobs(folder)]


def table(stderr: str) -> dict[str, list[str]]:
    """The rows of the table by job: state and what follows."""
    lines = stderr[stderr.index("sweep out: ") :].splitlines()
    assert lines[1].split() == ["job", "state", "overrides", "last", "error", "log"]
    last = next(number for number, line in enumerate(lines) if line.startswith("  go on: "))
    return {line.split()[0]: line.split()[1:] for line in lines[2:last]}


def test_kill_one_of_four_and_fail_one_then_resume(run, repository):
    trouble(repository, s1="fails", s2="is killed")
    ended = run(*SEEDS, *LAUNCHERS["local"])
    assert ended.returncode == 1
    assert states(repository / "out") == ["DONE", "FAILED", "KILLED", "DONE"]
    assert "sweep out: 2 of 4 jobs are not done" in ended.stderr
    rows = table(ended.stderr)
    assert rows["1"] == ["FAILED", "seed=1", "RuntimeError:", "seed", "1", "broke", "out/1/train.log"]
    assert rows["2"] == ["KILLED", "seed=2", "killed", "by", "signal", "9", "out/2/train.log"]
    assert rows.keys() == {"1", "2"}
    assert ended.stderr.rstrip().endswith("go on: sweep.resume=out")

    trouble(repository)
    before = {name: files(repository / "out" / name) for name in "03"}
    record = (repository / "out" / "sweep.json").read_text()
    again = run("sweep.resume=out")
    assert again.returncode == 0, again.stderr
    assert states(repository / "out") == ["DONE"] * 4
    assert {name: files(repository / "out" / name) for name in "03"} == before
    assert (repository / "out" / "sweep.json").read_text() == record
    assert sorted(path.parent.name for path in (repository / "out").rglob("run.json")) == list("0123")
    starts = {name: [start["status"] for start in facts(repository / "out" / name)["starts"]] for name in "0123"}
    assert starts == {"0": ["DONE"], "1": ["FAILED", "DONE"], "2": ["KILLED", "DONE"], "3": ["DONE"]}
    assert [json.loads((repository / "out" / n / "metrics.json").read_text())["seed"] for n in "0123"] == [0, 1, 2, 3]

    everything = files(repository / "out")
    assert run("-m", "sweep.resume=out").returncode == 0  # nothing is left to do
    assert files(repository / "out") == everything


@pytest.mark.slow
@pytest.mark.parametrize("name", ["joblib", "submitit"])
def test_a_failure_in_a_worker_is_a_row(run, repository, name):
    pytest.importorskip(PACKAGES[name])
    trouble(repository, s1="fails")
    ended = run(*SEEDS, *LAUNCHERS[name])
    assert ended.returncode == 1, ended.stderr
    assert states(repository / "out") == ["DONE", "FAILED", "DONE", "DONE"]
    assert table(ended.stderr) == {"1": ["FAILED", "seed=1", "RuntimeError:", "seed", "1", "broke", "out/1/train.log"]}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["joblib", "submitit"])
def test_a_killed_worker_counts_as_failed_and_is_resumed(run, repository, name):
    pytest.importorskip(PACKAGES[name])
    trouble(repository, s0="is killed")
    ended = run(*SEEDS, *LAUNCHERS[name])
    assert ended.returncode == 1
    left = states(repository / "out")
    assert left[0] == "KILLED"
    assert table(ended.stderr).keys() == {str(number) for number, state in enumerate(left) if state != "DONE"}
    assert left[2:] == ["DONE", "DONE"]  # joblib's broken pool takes job 1 with it, and a new one goes on
    trouble(repository)
    assert run("sweep.resume=out").returncode == 0
    assert states(repository / "out") == ["DONE"] * 4


@pytest.mark.slow
def test_two_ranks_a_job_share_its_folder(run, repository):
    pytest.importorskip("submitit")
    for launcher in (["hydra/launcher=submitit_local", "hydra.launcher.tasks_per_node=2"], ["launcher=local"]):
        own = ["hydra.launcher.ranks=2"] if "launcher=local" in launcher else []
        folder = repository / launcher[0].replace("/", "-")
        done = run("-m", "seed=0,1", f"hydra.sweep.dir='{folder}'", *launcher, *own)
        assert done.returncode == 0, done.stderr
        for number in "01":
            assert facts(folder / number)["world_size"] == 2
            assert len(list((folder / number).glob("rank-*-of-2"))) == 2
            assert (folder / number / "train.log").read_text().count("steps 10") == 1
        assert len(list(folder.rglob("run.json"))) == 2


def started(repository: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "train.py", *words],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("launcher", "number", "code"),
    [
        (LAUNCHERS["local"], signal.SIGTERM, 75),
        pytest.param(LAUNCHERS["local"], signal.SIGINT, 75, marks=pytest.mark.slow),
        pytest.param([], signal.SIGINT, 130, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_sweep_goes_on_where_it_was(run, repository, launcher, number, code):
    trouble(repository, s1="waits")
    process = started(repository, *SEEDS, *launcher, *(["hydra.launcher.jobs=1"] if launcher else []))
    deadline = time.monotonic() + 60
    while not (repository / "out" / "1" / "config.yaml").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == code, told
    left = states(repository / "out")
    assert left[0] == "DONE"
    assert left[1] in {"INTERRUPTED", "KILLED"}
    assert left[2:] == ["MISSING", "MISSING"]
    assert table(told).keys() == set("123")
    trouble(repository)
    before = files(repository / "out" / "0")
    again = run("-m", "sweep.resume=out", "seed=0,1,2,3")
    assert again.returncode == 0, again.stderr
    assert states(repository / "out") == ["DONE"] * 4
    assert files(repository / "out" / "0") == before


@pytest.mark.slow
def test_the_sweep_itself_is_killed(run, repository):
    trouble(repository, s1="is killed")  # in the sweep's own process
    assert run(*SEEDS).returncode == -signal.SIGKILL
    trouble(repository, s3="fails")
    ended = run("sweep.resume=out")
    assert ended.returncode == 1
    assert states(repository / "out") == ["DONE", "DONE", "DONE", "FAILED"]
    trouble(repository)
    assert run("sweep.resume=out", "launcher=local").returncode == 0  # with another launcher
    assert states(repository / "out") == ["DONE"] * 4


@pytest.mark.parametrize("launcher", [[], LAUNCHERS["local"]], ids=["basic", "local"])
def test_a_job_records_the_command_that_runs_it_alone(run, repository, launcher):
    done = run("-m", "seed=0,1", "model=large", "hydra.sweep.dir=out", *launcher)
    assert done.returncode == 0, done.stderr
    found = facts(repository / "out" / "1")
    assert found["command"].split()[1:] == ["train.py", "seed=1", "model=large"]
    assert found["sweep"] == {"folder": str(repository / "out"), "job": 1}
    assert " -m seed=0,1 " in sweep.read(repository / "out")["command"]
    alone = run(*found["command"].split()[2:], "hydra.run.dir=alone")
    assert alone.returncode == 0
    assert (repository / "alone/config.yaml").read_text() == (repository / "out/1/config.yaml").read_text()


# --- what it refuses


@pytest.fixture
def folder(tmp_path) -> Path:
    jobs = [sweep.Job(n, tmp_path / str(n), [f"seed={n}", "hub_token=hf_abcdefghijklmnopqrstuvwx"]) for n in (0, 1)]
    sweep.write(tmp_path, "python train.py", ["hydra.launcher.jobs=2", "launcher=local", *LINES], jobs)
    return tmp_path


LINES = ["seed=0,1", "++loss.dst_gen_weight=2", "hub_token=hf_abcdefghijklmnopqrstuvwx"]
TOKEN = "hub_token=hf_abcdefghijklmnopqrstuvwx"


def test_resumed_lines(folder):
    same = ["hydra.launcher.jobs=2", "launcher=local", *LINES, f"hydra.sweep.dir='{folder}'"]
    assert sweep.resumed(folder, [f"sweep.resume={folder}", TOKEN]) == same
    assert sweep.resumed(folder, [f"sweep.resume={folder}", TOKEN, "seed=0,1", "dst_gen_weight=2"]) == same
    assert sweep.resumed(folder, [TOKEN, "hydra/launcher=basic"]) == [
        *LINES,
        "hydra/launcher=basic",
        f"hydra.sweep.dir='{folder}'",
    ]
    assert "hf_" not in (folder / "sweep.json").read_text()


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "give hub_token again"),
        ([TOKEN, "seed=0,1,2"], "seed=0,1,2"),
        ([TOKEN, "model=large"], "model=large"),
        ([TOKEN, "hydra.sweep.dir=elsewhere"], "hydra.sweep.dir"),
    ],
)
def test_resuming_is_of_the_same_sweep(folder, lines, told):
    with pytest.raises(UserError, match=told):
        sweep.resumed(folder, lines)


def test_no_sweep_there(run, repository):
    refused = run("sweep.resume=nowhere")
    assert refused.returncode == 2
    assert refused.stderr == f"sweep.resume={repository}/nowhere: no folder of a sweep, it has no sweep.json\n"


def test_a_missing_package_is_named(run, repository, monkeypatch):
    monkeypatch.setattr(sweep, "find_spec", lambda name: None)
    from prospect.runs.compose import Composed

    with pytest.raises(UserError, match="pip install submitit"):
        sweep.check(Composed([], launcher="hydra_plugins.prospect_sweeps.Slurm"), resume=False)


def test_jobs_need_folders_of_their_own(run, repository):
    refused = run("-m", "seed=0,1", "hydra.sweep.dir=out", "hydra.sweep.subdir=same")
    assert refused.returncode == 2
    assert "several jobs would share a folder" in refused.stderr
    assert not (repository / "out").exists()
