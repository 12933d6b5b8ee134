"""Claim: batch 4 ≡ batch 1 × accumulation 4: same parameters and same logged loss. (Two ranks: test_ranks.py.)"""

from __future__ import annotations

import functools
import json

import pytest
import torch
from safetensors.torch import load_file
from tests.models import nanovlms
from transformers import TrainingArguments

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.data.dataset import Dataset
from prospect.errors import UserError
from prospect.models.adapt import lora
from prospect.models.sealed import model_folder
from prospect.models.tiny import tiny
from prospect.models.tiny_qwen3_vl import tiny_qwen3_vl
from prospect.training.fit import supervised
from prospect.training.losses import lm
from prospect.training.supervised import NonFiniteLoss

ANSWERS = ["fire", "water and some more wood", "land", "a metal gear, and fire above the land", "wood"]


def dataset(picture, train: int = 10) -> Dataset:
    """Answers of very different lengths: a mean of means would be off by far."""
    samples = [
        Sample(
            f"img-{index}",
            (
                Turn("user", (Picture(picture.rotate(20 * index)), "what is it?")),
                Turn("assistant", (ANSWERS[index % len(ANSWERS)],)),
            ),
            {"label": "fire"},
        )
        for index in range(train)
    ]
    return Dataset("lengths", "classification", {"train": samples, "val": samples[:3], "test": []}, ("fire",))


def fitted(folder, picture, batch: int, accumulation: int, make=tiny, **more):
    vlm = make(seed=1, device="cpu")
    options = {"max_steps": 5, "learning_rate": 0.05, "logging_steps": 1, "optim": "sgd", "save_strategy": "no"}
    args = functools.partial(
        TrainingArguments,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        **{**options, **more.pop("args", {})},
    )
    folder.mkdir(exist_ok=True)
    supervised(args, vlm=vlm, data=dataset(picture), loss=lm({"answer": 1.0}), folder=folder, seed=0, **more)
    return vlm, [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("make", [tiny, tiny_qwen3_vl, nanovlms.small])
def test_accumulation_is_exact(tmp_path, picture, make):
    whole, one_by_one = (fitted(tmp_path / str(n), picture, n, 4 // n, make) for n in (4, 1))
    for name, parameter in whole[0].model.named_parameters():
        other = dict(one_by_one[0].model.named_parameters())[name]
        assert torch.allclose(parameter, other, atol=1e-6, rtol=0), name
    for ours, theirs in zip(whole[1], one_by_one[1], strict=True):
        assert ours["train/loss"] == pytest.approx(theirs["train/loss"], abs=2e-6)
        assert ours["train/loss_answer"] == pytest.approx(ours["train/loss"], abs=1e-6)


def test_the_logged_loss_is_the_mean_over_tokens(tmp_path, picture):
    """Against the model's own cross entropy, over the same samples, with nothing of ours in between."""
    vlm, rows = fitted(tmp_path / "run", picture, 10, 1, args={"max_steps": 1, "learning_rate": 0.0})
    sums, tokens = 0.0, 0
    for sample in dataset(picture).splits["train"]:
        from prospect.conversation.segments import encode

        encoded = encode(vlm.chat(sample), vlm.tokenizer)
        ids, labels = torch.tensor([encoded.ids]), torch.tensor([encoded.labels()])
        out = vlm.model(input_ids=ids, labels=labels, **vlm.images.pixels(list(sample.pictures)))
        learnt = sum(label != -100 for label in encoded.labels())
        sums, tokens = sums + out.loss.item() * learnt, tokens + learnt
    assert rows[0]["train/loss"] == pytest.approx(sums / tokens, abs=1e-5)


def test_evaluation_is_weighted_by_count(tmp_path, picture):
    options = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": 1, "learning_rate": 0.0}
    runs = [
        fitted(tmp_path / str(size), picture, 2, 1, args={**options, "per_device_eval_batch_size": size})[1]
        for size in (1, 2, 3)
    ]
    values = [next(row["val/loss"] for row in rows if "val/loss" in row) for rows in runs]
    assert values == pytest.approx([values[0]] * 3, abs=2e-6)


@pytest.mark.parametrize("loads", [True, False])
def test_the_model_of_a_run_is_the_one_that_it_ended_with(tmp_path, picture, loads):
    """A metric alone keeps the best checkpoint; only a run that ends by loading it has it as its model."""
    best = {"metric_for_best_model": "loss", "greater_is_better": False, "load_best_model_at_end": loads}
    steps = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1, "max_steps": 4}
    vlm, rows = fitted(tmp_path / "run", picture, 4, 1, args={**best, **steps, "learning_rate": 50.0})
    losses = [row["val/loss"] for row in rows if "val/loss" in row]
    assert min(losses) < losses[-1]  # so large a rate makes it worse
    kept = load_file(model_folder(tmp_path / "run") / "model.safetensors")
    assert model_folder(tmp_path / "run").name == (f"step-{losses.index(min(losses)) + 1}" if loads else "step-4")
    assert all(torch.equal(p, kept[name]) for name, p in vlm.model.named_parameters() if name in kept)


def test_muon_learns_and_moves_everything(tmp_path, picture):
    start = {name: p.clone() for name, p in tiny(seed=1, device="cpu").model.named_parameters()}
    args = {"max_steps": 12, "learning_rate": 3e-3}
    vlm, rows = fitted(tmp_path / "muon", picture, 10, 1, optimizer="muon", args=args)
    losses = [row["train/loss"] for row in rows]
    assert losses[-1] < 0.5 * losses[0]
    still = [name for name, p in vlm.model.named_parameters() if torch.equal(p, start[name])]
    assert still == []


def test_muon_trains_an_adapter_that_is_made_of_matrices_alone(tmp_path, picture):
    def adapted(**options):
        return lora(tiny(**options), rank=4)

    args = {"max_steps": 12, "learning_rate": 3e-3}
    vlm, rows = fitted(tmp_path, picture, 10, 1, adapted, optimizer="muon", args=args)
    assert rows[-1]["train/loss"] < rows[0]["train/loss"]
    moved = [name for name, p in vlm.model.named_parameters() if "lora_B" in name and p.abs().sum() > 0]
    assert len(moved) == sum("lora_B" in name for name, _ in vlm.model.named_parameters())


def test_a_loss_that_is_no_number_ends_the_run(tmp_path, picture):
    with pytest.raises(NonFiniteLoss, match=r"the loss is nan at step \d; samples: img-"):
        fitted(tmp_path / "stop", picture, 2, 1, args={"learning_rate": 1e30, "max_steps": 20, "max_grad_norm": 0})
    args = {"learning_rate": 1e30, "max_steps": 4, "max_grad_norm": 0}
    rows = fitted(tmp_path / "on", picture, 2, 1, args=args, stop_on_nan=False)[1]
    assert rows[-1]["train/loss"] == "nan"  # shown as what it is, never as 0


def test_an_empty_training_split_is_refused(tmp_path, picture):
    data = dataset(picture, train=0)
    with pytest.raises(UserError, match="lengths: the training split is empty"):
        supervised(TrainingArguments, tiny(device="cpu"), data, lm({"answer": 1.0}), tmp_path, seed=0)


def test_epochs_become_steps(tmp_path, picture):
    args = {"max_steps": -1, "num_train_epochs": 2, "eval_strategy": "epoch"}
    rows = fitted(tmp_path / "epochs", picture, 4, 1, args=args)[1]
    assert max(row["step"] for row in rows) == 5  # 20 samples in batches of 4
    assert [row["step"] for row in rows if "val/loss" in row] == [3, 5]
