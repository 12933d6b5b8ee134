"""GRPO as a user runs it: its starting checkpoint and the policy in one command; killed, resumed, evaluated again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.commands import ROOT, environment, python, trained

DATA = ["data=path_vqa_demo", "data.train=6", "data.val=2", "data.test=2"]
BEFORE = [
    "trainer@before=scratch",
    "before.args.max_steps=8",
    "before.args.warmup_steps=1",
    "before.args.eval_steps=8",
]
POLICY = [
    "trainer=grpo",
    "~trainer/on",
    "trainer.args.max_steps=6",
    "trainer.args.learning_rate=1e-3",
    "trainer.args.save_steps=2",
]
POLICY += ["trainer.args.logging_steps=1", "trainer.args.eval_steps=3", "trainer.args.max_completion_length=12"]
JUDGE = ["trainer.rewards.weights={format: 0.2, normalised: 0.7, judge: 0.1}", "trainer.rewards.judge.offline=true"]
WORDS = [*DATA, *BEFORE, *POLICY, *JUDGE]
TIMES = {"seconds", "train/step_time"}


def lines(folder: Path, name: str = "metrics.jsonl") -> list[dict]:
    rows = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("whole"), *WORDS)


def test_a_run_leaves_its_start_its_completions_and_its_rewards(whole):
    assert json.loads((whole / "before" / "done.json").read_text())["steps"] == 8
    assert (whole / "before" / "metrics.jsonl").is_file()
    metrics = json.loads((whole / "metrics.json").read_text())
    names = {"reward", "reward/format", "reward/normalised", "reward/judge", "accuracy", "format"}
    assert {f"{split}/{name}" for split in ("val", "test") for name in names} <= metrics.keys()
    assert metrics["train/steps"] == 6
    assert {row["step"] for row in lines(whole, "completions.jsonl")} == set(range(1, 7))
    assert "val/reward" in {name for row in lines(whole) for name in row}
    told = json.loads((whole / "run.json").read_text())
    assert told["rewards"]["weights"] == {"format": 0.2, "normalised": 0.7, "judge": 0.1}
    val = len((whole / "predictions" / "val.jsonl").read_text().splitlines())
    assert told["judged"] == {"judged": 6 * 8 + 2 * val, "failed": 0, "lost_groups": 0}  # six steps, two evaluations
    assert "while it learnt" in (whole / "report.html").read_text()


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened(whole, tmp_path):
    command = [sys.executable, str(ROOT / "train.py"), *WORDS, "hydra.run.dir=run"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)
    run, deadline = tmp_path / "run", time.monotonic() + 200
    while not (run / "checkpoints" / "step-2").is_dir():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = python("train.py", f"resume={run}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert lines(run) == lines(whole)
    assert lines(run, "completions.jsonl") == lines(whole, "completions.jsonl")
    before, after = (json.loads((folder / "metrics.json").read_text()) for folder in (whole, run))
    assert {k: v for k, v in after.items() if k != "train/seconds"} == {
        k: v for k, v in before.items() if k != "train/seconds"
    }


def test_evaluating_the_run_gives_the_numbers_of_its_end(whole, tmp_path):
    done = python("evaluate.py", f"run={whole}", "hydra.run.dir=again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    again = json.loads((tmp_path / "again" / "metrics.json").read_text())
    at_the_end = json.loads((whole / "metrics.json").read_text())
    assert again == {key: value for key, value in at_the_end.items() if key.startswith("test/")}


@pytest.mark.slow
def test_prompts_without_answers_are_met_for_their_rewards(tmp_path):
    """With no picture, one or two to a prompt."""
    data = ["data=prompts_demo", "data.train=12", "data.val=3", "data.test=4"]
    few = ["trainer.args.max_steps=2", "trainer.args.max_completion_length=8", "trainer.args.eval_steps=2"]
    batch = ["trainer.args.per_device_train_batch_size=12", "trainer.args.num_generations=3"]
    folder = trained(tmp_path, *data, "trainer=grpo", *few, *batch)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {"val/reward", "test/reward", "test/reward/format"} <= metrics.keys()
    assert len((folder / "predictions" / "test.jsonl").read_text().splitlines()) == 4


@pytest.mark.slow
def test_two_ranks_sample_together_and_go_on_when_killed(tmp_path):
    """Groups are spread over the ranks: each rank says half of every group, and advantages are of the whole."""
    words = [*WORDS, "trainer.args.per_device_train_batch_size=4"]
    whole = launched(tmp_path, *words, "hydra.run.dir=whole")
    assert whole.wait(400) == 0
    spoken = lines(tmp_path / "whole", "completions.jsonl")
    assert sorted(row["step"] for row in spoken) == sorted([*range(1, 7)] * (len(spoken) // 6))
    killed = launched(tmp_path, *words, "hydra.run.dir=run")
    deadline = time.monotonic() + 300
    while not (tmp_path / "run" / "checkpoints" / "step-2").is_dir():
        assert killed.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    kill_all_in(tmp_path)
    killed.wait()
    assert launched(tmp_path, "resume=run").wait(400) == 0
    assert lines(tmp_path / "run") == lines(tmp_path / "whole")
    assert lines(tmp_path / "run", "completions.jsonl") == spoken
    after, before = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("run", "whole"))
    assert after | {"train/seconds": 0} == before | {"train/seconds": 0}


def kill_all_in(folder: Path) -> None:
    """torchrun gives every worker a session of its own, so that killing its group would leave them at work."""
    while working := [int(file.parent.name) for file in Path("/proc").glob("[0-9]*/cwd") if _leads_to(file, folder)]:
        for process in working:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)


def _leads_to(link: Path, folder: Path) -> bool:
    try:
        return link.readlink() == folder.resolve()
    except OSError:  # gone, or another user's
        return False


def launched(cwd: Path, *words: str) -> subprocess.Popen[bytes]:
    """Two ranks."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [str(ROOT / "train.py"), *words]
    return subprocess.Popen(command, cwd=cwd, env=environment(), stdout=subprocess.DEVNULL)
