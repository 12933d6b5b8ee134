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
LITTLE = {
    # A model of two steps talks all the time, and would fill any context.
    "assembly101_dst_demo_long": [
        "data.train=8",
        "data.val=1",
        "data.test=1",
        "context=dst_state",
        "context.length=256",
    ],
    "users_demo": ["data.samples=12", "data.train_users=11-14", "data.val_users=74", "data.test_users=1"],
    "path_vqa_grpo_demo": [*FEW, "trainer.args.per_device_train_batch_size=8", "before.args.max_steps=2"],
}
BEGINS = {"users_demo_personal": "users_demo", "element_demo_recolour": "element_demo"}  # with another's run


def little(name: str) -> list[str]:
    if name.startswith("users_demo"):
        return LITTLE["users_demo"]
    return LITTLE.get(name, CLIPS if name.startswith("assembly101_dst_demo") else FEW)


def started(folder: Path, name: str, *words: str) -> Path:
    folder.mkdir(exist_ok=True)
    return trained(folder, f"experiment={name}", *STEPS, *little(name), *words)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if "_2b" not in name])
def test_two_steps(name, tmp_path):
    first = [f"model.path={started(tmp_path / 'first', BEGINS[name])}"] if name in BEGINS else []
    run = started(tmp_path / "own", name, *first)
    assert json.loads((run / "metrics.json").read_text())["train/steps"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if "_2b" in name])
def test_two_steps_of_a_large_one(name, tmp_path):
    """The tiny model takes the large one's place, and one process that of several."""
    trained(tmp_path, *STEPS, *CLIPS, "data.folder=clips")
    words = [
        "model=tiny",
        "~model.gradient_checkpointing",
        "trainer=supervised",
        "data.folder=clips",
        "trainer.args.bf16=false",
        *STEPS,
    ]
    words += ["trainer.args.dataloader_num_workers=0", "trainer.args.num_train_epochs=1", "hydra.run.dir=large"]
    done = python("train.py", f"experiment={name}", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((tmp_path / "large" / "metrics.json").read_text())["train/steps"] == 2
