"""Pairs of answers as a user trains on them: killed and resumed to the same numbers, scored again from the folder."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from tests.commands import python, trained
from tests.test_train import files, killed, lines, status

SMALL = [
    *("model=tiny", "data=preferences_demo", "trainer=dpo"),
    *("data.train=40", "data.val=8", "data.test=12", "trainer.args.max_steps=24", "trainer.args.warmup_steps=2"),
    *("trainer.args.logging_steps=3", "trainer.args.eval_steps=12", "trainer.args.save_steps=8"),
    "trainer.args.per_device_train_batch_size=4",
]
LORA = [*SMALL, "adapt=lora", "trainer.args.loss_type=[sigmoid,sft]"]


def metrics(folder: Path) -> dict[str, float]:
    found = json.loads((folder / "metrics.json").read_text())
    return {key: value for key, value in found.items() if key != "train/seconds"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("whole"), *SMALL)


@pytest.fixture(scope="module")
def lora(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("lora"), *LORA)


def test_what_a_run_leaves(whole):
    names = {"preference_accuracy", "preference_margin", "preference_likelier", "preference_likelier_before"}
    every = {f"{split}/{name}{end}" for split in ("val", "test") for name in names for end in ("", "_low", "_high")}
    assert every | {"train/steps"} <= metrics(whole).keys()
    (first, *_), later = ([row for row in lines(whole) if key in row] for key in ("train/loss", "val/loss"))
    assert {"train/rewards/margins", "train/rewards/accuracies", "train/loss"} <= first.keys()
    assert [row["step"] for row in later] == [12, 24]
    rows = [json.loads(line) for line in (whole / "predictions" / "test.jsonl").read_text().splitlines()]
    assert len(rows) == 12
    assert {"label", "rejected", "before", "prediction", "margin", "correct", "image", "question"} <= rows[0].keys()
    page = (whole / "report.html").read_text()
    for told in ("before training", "after", "preferred"):
        assert told in page


@pytest.mark.parametrize("mode", ["whole", pytest.param("lora", marks=pytest.mark.slow)])
def test_evaluating_the_run_gives_the_numbers_of_its_end(mode, request, tmp_path):
    """So the start of the run, built again, is the reference that it was trained against."""
    run = request.getfixturevalue(mode)
    before = files(run)
    done = python("evaluate.py", f"run={run}", "hydra.run.dir=again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    at_the_end = {key: value for key, value in metrics(run).items() if key.startswith("test/")}
    assert metrics(tmp_path / "again") == pytest.approx(at_the_end, abs=1e-6)
    assert files(run) == before


@pytest.mark.slow
def test_zero_shot_there_is_nothing_to_measure_against(tmp_path):
    words = ["model=tiny", "data=preferences_demo", "data.train=2", "data.val=0", "data.test=12", "hydra.run.dir=zero"]
    done = python("evaluate.py", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    found = metrics(tmp_path / "zero")
    assert "test/preference_likelier" in found
    assert "test/preference_accuracy" not in found


def test_a_killed_run_resumes_to_the_same_numbers(whole, tmp_path):
    assert killed(tmp_path, signal.SIGKILL, 6, *SMALL).returncode == -signal.SIGKILL
    assert status(tmp_path / "run") == "RUNNING"
    done = python("train.py", "resume=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert lines(tmp_path / "run") == lines(whole)
    assert metrics(tmp_path / "run") == metrics(whole)


@pytest.mark.slow
def test_a_killed_adapter_resumes_to_the_same_numbers(lora, tmp_path):
    assert killed(tmp_path, signal.SIGKILL, 6, *LORA).returncode == -signal.SIGKILL
    done = python("train.py", "resume=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert lines(tmp_path / "run") == lines(lora)
    assert metrics(tmp_path / "run") == metrics(lora)


def test_data_without_pairs_are_refused_in_one_message(tmp_path):
    done = python("train.py", "model=tiny", "data=chats_demo", "data.train=5", "trainer=dpo", cwd=tmp_path)
    assert done.returncode == 2
    assert "trainer=dpo learns from pairs of answers, and chats_demo has none" in done.stderr
