"""Questions about pictures as a user runs them: trained, scored in both formats; and prompts, which teach nothing."""

from __future__ import annotations

import json

import pytest
from tests.commands import python, trained

SHORT = [f"trainer.args.{key}=2" for key in ("max_steps", "eval_steps", "save_steps")]
FEW = ["data.train=6", "data.val=2", "data.test=3"]


def test_the_twin_trains_and_is_scored_against_every_right_answer(tmp_path):
    run = trained(tmp_path, "data=path_vqa_demo", *FEW, *SHORT)
    found = json.loads((run / "metrics.json").read_text())
    for name in ("accuracy", "yes_no/accuracy", "open/exact", "open/normalised", "open/token_f1", "format"):
        assert 0 <= found[f"test/{name}_low"] <= found[f"test/{name}"] <= found[f"test/{name}_high"] <= 1
    assert found["test/pictures"] == 3
    rows = [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()]
    assert len(rows) == found["test/samples"]
    assert rows[0]["question"] == "What colour is a cell?"
    assert rows[0]["question"] in (run / "report.html").read_text()
    told = json.loads((run / "run.json").read_text())["data"]["questions"]["test"]
    assert told["yes_no"] == 6
    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert any("val/accuracy" in line for line in logged)


@pytest.mark.slow
def test_zero_shot_in_plain_words(tmp_path):
    options = [
        "model=tiny",
        "data=path_vqa_demo",
        "data.answer_format=plain",
        *FEW,
        f"hydra.run.dir={tmp_path / 'run'}",
    ]
    done = python("evaluate.py", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert "test/accuracy" in found
    assert "test/format" not in found


def test_prompts_have_nothing_to_learn_by_heart(tmp_path):
    done = python(
        "train.py", "model=tiny", "data=prompts_demo", *FEW, *SHORT, f"hydra.run.dir={tmp_path / 'run'}", cwd=tmp_path
    )
    assert done.returncode == 2
    assert "prompts_demo has no answers to learn by heart: take trainer=grpo" in done.stderr
