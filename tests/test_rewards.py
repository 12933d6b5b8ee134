"""Rewards as a user gives them to `python train.py trainer=grpo`: a mistake ends it before any model is loaded."""

from __future__ import annotations

import pytest
from tests.commands import python

GRPO = ("train.py", "model=tiny", "data=path_vqa_demo", "trainer=grpo", "hydra.run.dir=run")
BROKEN = {
    "def scored(prompts, completions, **columns): return []": "mine.py has no function score; it has scored",
    "def score(prompts, completions, **columns): return [float('nan')] * len(completions)": "gave nan, no finite",
    "def score(prompts, completions, solution, **columns): return [0.0]": "missing a required argument: 'solution'",
}


@pytest.mark.parametrize("code", BROKEN)
def test_a_broken_file_is_a_mistake_of_usage(code, tmp_path):
    (tmp_path / "mine.py").write_text(code)
    done = python(*GRPO, r"trainer.rewards.weights={mine.py\:score: 1.0}", cwd=tmp_path)
    assert done.returncode == 2, done.stderr[-2000:]
    assert BROKEN[code] in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_reward_that_cannot_read_the_data_is_a_mistake_of_usage(tmp_path):
    done = python(*GRPO, "trainer.rewards.weights={number: 1.0}", cwd=tmp_path)
    assert done.returncode == 2, done.stderr[-2000:]
    assert "trainer.rewards: number can never be earned in sample" in done.stderr
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_judge_without_an_address_is_a_mistake_of_usage(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    weights = ("trainer.rewards.weights={judge: 1.0}", "trainer.rewards.judge.model=m")
    done = python(*GRPO, *weights, cwd=tmp_path)
    assert done.returncode == 2, done.stderr[-2000:]
    assert "OPENAI_BASE_URL" in done.stderr


def test_settings_of_a_phase_before_without_its_trainer(tmp_path):
    done = python("train.py", "experiment=path_vqa_grpo_demo", "~trainer@before", cwd=tmp_path)
    assert done.returncode == 2, done.stderr[-2000:]
    assert "before has settings and no trainer: name one, as trainer@before=scratch, or say before=null" in done.stderr
