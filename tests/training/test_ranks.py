"""Claims: two ranks × batch 2 ≡ one process × batch 4, parameters and logs, with pictures and with words among them;
answers of ranks come back in order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

ROOT = Path(__file__).parent.parent.parent

WORKER = """
import functools, json, sys
from pathlib import Path
import torch
from PIL import Image
from transformers import TrainingArguments
from prospect.conversation.sample import Picture, Sample, Turn
from prospect.data.dataset import Dataset
from prospect.evaluation.answers import answers
from prospect.models.tiny import tiny
from prospect.training.fit import supervised
from prospect.training.losses import lm

folder, batch, shown = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
words = ["fire", "water and some more wood", "land", "a metal gear, and fire above the land", "wood"]
ramp = Image.linear_gradient("L").resize((48, 40)).convert("RGB")
def asked(i):
    if shown == "pictures" or i in (3, 8):
        return (*(Picture(ramp.rotate(20 * i + j)) for j in range(1 if shown == "pictures" else 2)), "what is it?")
    return (f"what is number {i}?",)
samples = [Sample(str(i), (Turn("user", asked(i)), Turn("assistant", (words[i % 5],)))) for i in range(11)]
data = Dataset("ranks", "classification", {"train": samples, "val": samples[:5], "test": []}, ())
vlm = tiny(seed=1, device="cpu")
said = []
def score(seen):
    said[:] = answers(vlm, samples, 3, 6)
    return {"accuracy": 0.0}
args = functools.partial(
    TrainingArguments, per_device_train_batch_size=batch, max_steps=5, learning_rate=0.05, optim="sgd",
    logging_steps=1, save_steps=5, eval_strategy="steps", eval_steps=5,
)
folder.mkdir(parents=True, exist_ok=True)
supervised(args, vlm=vlm, data=data, loss=lm({"answer": 1.0}), folder=folder, seed=0, score=score)
rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
(folder / f"said-{rank}.json").write_text(json.dumps(said))
"""


def run(folder: Path, batch: int, ranks: int, shown: str) -> None:
    script = folder.parent / "worker.py"
    script.write_text(WORKER)
    launch = [sys.executable] + (
        ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, str(script), str(folder), str(batch), shown],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("shown", ["pictures", "mixed"])
def test_two_ranks_equal_one_process(tmp_path, shown):
    run(tmp_path / "one", batch=4, ranks=1, shown=shown)
    run(tmp_path / "two", batch=2, ranks=2, shown=shown)
    one, two = (load_file(tmp_path / name / "checkpoints/step-5/model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    worst = max((one[name] - two[name]).abs().max().item() for name in one)
    assert worst <= 1e-6
    logs = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    for ours, theirs in zip(*logs, strict=True):
        assert ours.keys() == theirs.keys()
        for key in ours.keys() - {"seconds"}:
            assert ours[key] == pytest.approx(theirs[key], abs=2e-6, rel=1e-5), key
    said = [
        json.loads((tmp_path / name).read_text()) for name in ("one/said-0.json", "two/said-0.json", "two/said-1.json")
    ]
    assert len(said[0]) == 11
    assert said[0] == said[1] == said[2]
