"""nanoVLM through the root scripts: afresh and from its own layout, whole and with an adapter, and out again."""

from __future__ import annotations

import json

import pytest
from tests.commands import python, trained
from tests.models.nanovlms import SMALL, checkpoint, words

from prospect.models.export import export
from prospect.models.nanovlm import nanovlm

BRIEF = [
    "data=element_demo",
    "data.train=20",
    "data.val=5",
    "data.test=5",
    "trainer.args.per_device_train_batch_size=4",
]
BRIEF += [f"trainer.args.{key}=4" for key in ("max_steps", "eval_steps", "save_steps", "logging_steps")]


def test_afresh_it_trains_and_goes_out_in_its_own_layout(tmp_path):
    sizes = [f"model.sizes.{name}={value}" for name, value in SMALL.asked.items()]
    asked = ["model=nanovlm", "model.weights=random", f"model.tokenizer={words(tmp_path)}", *sizes]
    run = trained(tmp_path, *asked, *BRIEF)
    assert json.loads((run / "metrics.json").read_text())["train/steps"] == 4
    back = export(str(run), tmp_path / "back", layout="nanovlm")
    assert nanovlm(str(back), sizes=SMALL, device="cpu").images.size == 128


@pytest.mark.slow
def test_its_own_layout_trains_with_an_adapter_and_is_scored_again(tmp_path):
    checkpoint(tmp_path / "own")
    asked = ["model=nanovlm", f"model.path={tmp_path / 'own'}", f"model.tokenizer={words(tmp_path)}", "adapt=lora"]
    run = trained(tmp_path, *asked, *BRIEF)
    assert not list((run / "checkpoints").glob("**/model.safetensors"))
    assert json.loads((run / "checkpoints" / "step-4" / "base.json").read_text())["folder"] == str(tmp_path / "own")
    done = python("evaluate.py", f"run={run}", "hydra.run.dir=again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    ends = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("run", "again")]
    assert ends[1] == {key: value for key, value in ends[0].items() if key.startswith("test/")}
