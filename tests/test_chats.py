"""Conversations as a user runs them: old configurations on a tiny model, the built-in twin, and mistakes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from tests.commands import ROOT, python, trained
from tests.data.chat_rows import asked, lines, picture, words

from prospect.runs.convert.__main__ import read
from prospect.runs.convert.sections import converted

OLD = ROOT / "tests" / "runs" / "convert" / "old"
SHORT = [f"trainer.args.{key}=2" for key in ("max_steps", "eval_steps", "save_steps")]


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


@pytest.mark.parametrize(
    "name",
    ["sft_least", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sft_quick", "sft_full", "sft_fresh"))],
)
def test_old_configurations_run_on_a_tiny_model(name, tmp_path):
    """The published line, with a tiny model and a folder in the place of what would have to be downloaded."""
    rows = [asked(images=[picture(tmp_path, shade)]) for shade in range(100)]
    lines(tmp_path / "train.jsonl", rows + words(100))
    lines(tmp_path / "test.jsonl", [asked(images=[picture(tmp_path, shade)]) for shade in range(200, 204)])
    line = shlex.split(str(converted(read(OLD / f"{name}.yaml"), OLD)))[2:]
    kept = [word for word in line if word.partition("=")[0].split(".")[0] != "model" and "data.path" not in word]
    done = python("train.py", *kept, "model=tiny", f"data.path={tmp_path}", *SHORT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    (folder,) = tmp_path.glob("*_output")
    assert metrics(folder)["train/steps"] == 2
    assert 0 <= metrics(folder)["val/exact"] <= 1


def test_the_twin_trains_and_is_scored_by_its_last_answers(tmp_path):
    run = trained(tmp_path, "data=chats_demo", "data.train=20", "data.val=5", "data.test=10", *SHORT)
    found = metrics(run)
    assert found["test/samples"] == 10
    assert not [key for key in found if "user" in key]
    rows = [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [f"test.jsonl:{n}" for n in range(1, 11)]
    assert json.loads((run / "run.json").read_text())["data"]["rows"]["test"]["text_only"] == 2


def test_mistakes_end_with_code_2_before_torch_is_imported(tmp_path):
    lines(tmp_path / "rows.jsonl", [{"problem": "1 + 1", "solution": "2"}])
    done = python("train.py", "data=chats", f"data.path={tmp_path}", "hydra.run.dir=no", cwd=tmp_path)
    assert done.returncode == 2
    assert "rows.jsonl:1: has the columns problem, solution; accepted are" in done.stderr
    done = python("train.py", "data=chats", "data.path=some/body", "hydra.run.dir=no2", cwd=tmp_path)
    assert done.returncode == 2
    assert "hf download --repo-type dataset some/body" in done.stderr
