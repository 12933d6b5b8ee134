"""Every study runs: two steps of it, on the tiny model and with little data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.commands import ROOT, python, trained

NAMES = sorted(file.stem for file in (ROOT / "experiments").glob("*.yaml"))
STEPS = [f"trainer.args.{key}=2" for key in ("max_steps", "eval_steps", "save_steps")]
FEW = ["data.train=16", "data.val=4", "data.test=4"]
CLIPS = [*FEW, "data.captions_count=8", "data.dense_count=4"]
LITTLE = {  # of all studies whose names begin like this
    # A model of two steps talks all the time, and would fill any context.
    "assembly101_dst_demo_long": [
        "data.train=8",
        "data.val=1",
        "data.test=1",
        "context=dst_state",
        "context.length=256",
    ],
    "users_demo": ["data.samples=12", "data.train_users=11-14", "data.val_users=74", "data.test_users=1"],
    "path_vqa_grpo": [*FEW, "trainer.args.per_device_train_batch_size=8", "before.args.max_steps=2"],
}
BEGINS = {"users_demo_personal": "users_demo", "element_demo_recolour": "element_demo"}  # with another's run


def little(name: str) -> list[str]:
    several = next((several for several in LITTLE if name.startswith(several)), "")
    return LITTLE.get(several, CLIPS if name.startswith("assembly101_dst_demo") else FEW)


def started(folder: Path, name: str, *words: str) -> Path:
    folder.mkdir(exist_ok=True)
    return trained(folder, f"experiment={name}", *STEPS, *little(name), *words)


# A tiny model on drawn data, in one process, in the place of what needs downloads and GPUs.
KEPT, WHOLE = "~model.gradient_checkpointing", "trainer.args.bf16=false"
SMALLER = ["model=tiny", *STEPS]
ONE = ["trainer=supervised", "trainer.args.num_train_epochs=1", "trainer.args.dataloader_num_workers=0"]
JUDGE = ["generation=hf", "trainer.rewards.judge.offline=true", "trainer.args.max_completion_length=8"]
LARGE = {
    "assembly101_dst_2b": [*SMALLER, KEPT, WHOLE, *ONE, "data.folder=clips"],
    "assembly101_dst_2b_full": [*SMALLER, KEPT, WHOLE, *ONE, "data.folder=clips"],
    "element_2b": [*SMALLER, KEPT, WHOLE, "data=element_demo", *FEW],
    "users_2b": [*SMALLER, "model=tiny_qwen3_vl", KEPT, WHOLE, "data=users_demo", *LITTLE["users_demo"]],
    "path_vqa_grpo_2b": [*SMALLER, KEPT, "~model.image", "data=path_vqa_demo", "~data.take", *FEW, *JUDGE],
    "preferences_nanovlm": [*SMALLER, WHOLE, "data=preferences_demo", "~data.path", *FEW],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(NAMES) - LARGE.keys()))
def test_two_steps(name, tmp_path):
    first = [f"model.path={started(tmp_path / 'first', BEGINS[name])}"] if name in BEGINS else []
    run = started(tmp_path / "own", name, *first)
    assert json.loads((run / "metrics.json").read_text())["train/steps"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_two_steps_of_a_large_one(name, tmp_path):
    if "data.folder=clips" in LARGE[name]:
        trained(tmp_path, *STEPS, *CLIPS, "data.folder=clips")
    done = python("train.py", f"experiment={name}", *LARGE[name], "hydra.run.dir=large", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((tmp_path / "large" / "metrics.json").read_text())["train/steps"] == 2
