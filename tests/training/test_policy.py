"""Claim: a policy learns from rewards by TRL's trainer, with our tokens, our reference, our checkpoints."""

from __future__ import annotations

import functools
import json
import logging
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models import nanovlms
from trl import GRPOConfig

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import encode
from prospect.data.dataset import Dataset
from prospect.errors import UserError
from prospect.models.adapt import lora
from prospect.models.images import ImageSettings
from prospect.models.tiny import tiny
from prospect.models.tiny_qwen3_vl import tiny_qwen3_vl
from prospect.training.policy import forbidding, grpo, special_tokens
from prospect.training.policy_trainer import PolicyTrainer

ANSWERS = ("fire", "water", "land", "wood")


def likes(prompts, completions, completion_ids=None, **columns) -> list[float | None]:
    """Half for any word of the list, the rest for the right one; nothing is known of an empty completion."""
    answers = columns["answer"]
    return [
        None if not text else 0.5 * any(word in text for word in ANSWERS) + 0.5 * (answer in text)
        for text, answer in zip(completions, answers, strict=True)
    ]


def short(prompts, completions, completion_ids=None, **columns) -> list[float | None]:
    return [1 / (1 + len(text)) for text in completions]


@dataclass(frozen=True)
class Two:
    functions: list[Any] = field(default_factory=lambda: [likes, short])
    weights: list[float] = field(default_factory=lambda: [1.0, 0.5])

    def facts(self) -> dict[str, Any]:
        return {"weights": self.weights}


def question(index: int, picture, pictures: int = 1, words: str = "what is it?") -> Sample:
    answer = ANSWERS[index % len(ANSWERS)]
    shown = [Picture(picture.rotate(20 * index + turn)) for turn in range(pictures)]
    turns = (Turn("user", (*shown, words)), Turn("assistant", (answer,), kind="open"))
    return Sample(f"q-{index}", turns, {"columns": {"question": "what is it?", "answer": answer, "answers": [answer]}})


def questions(picture, train: int = 6) -> Dataset:
    samples = [question(index, picture) for index in range(train)]
    return Dataset("asked", "questions", {"train": samples, "val": samples[:2], "test": []}, fingerprint="f")


ARGS = {"max_steps": 4, "learning_rate": 1e-3, "logging_steps": 1, "save_strategy": "no", "eval_strategy": "no"}
ARGS |= {"num_generations": 4, "per_device_train_batch_size": 8, "max_completion_length": 6, "warmup_steps": 0}
ARGS |= {"gradient_checkpointing": False, "disable_dropout": True, "lr_scheduler_type": "constant"}


def fitted(folder: Path, data: Dataset, vlm=None, **more):
    vlm = vlm or tiny(seed=1, device="cpu")
    args = functools.partial(GRPOConfig, **{**ARGS, **more.pop("args", {})})
    folder.mkdir(exist_ok=True)
    fit = grpo(args, vlm=vlm, data=data, rewards=Two(), folder=folder, seed=0, **more)
    return vlm, fit, lines(folder / "metrics.jsonl")


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_logs_rewards_and_keeps_what_was_said(tmp_path, picture):
    _, fit, log = fitted(tmp_path / "run", questions(picture))
    assert fit.steps == 4
    assert [row["step"] for row in log] == [1, 2, 3, 4]
    names = {"train/reward", "train/rewards/likes/mean", "train/completions/mean_length", "train/groups_without_spread"}
    assert all(names <= row.keys() for row in log)
    said = lines(tmp_path / "run" / "completions.jsonl")
    assert len(said) == 4 * 8
    assert {row["prompt"] for row in said} == {"what is it?"}
    for step in range(1, 5):
        rewards = [row["reward"] for row in said if row["step"] == step]
        assert sum(rewards) / 8 == pytest.approx(log[step - 1]["train/reward"], abs=1e-5)


def test_nobody_is_told_of_a_run(tmp_path, picture, monkeypatch):
    told: list[Any] = []
    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", lambda *words, **more: told.append(words))
    fitted(tmp_path / "run", questions(picture), args={"max_steps": 1})
    assert told == []


def test_what_no_reward_applies_to_is_counted_and_not_spelt_out(tmp_path, picture, caplog):
    def never(prompts, completions, completion_ids=None, **columns) -> list[float | None]:
        return [None, *(1.0 * (len(text) % 2) for text in completions[1:])]

    (tmp_path / "run").mkdir()
    args = functools.partial(GRPOConfig, **{**ARGS, "max_steps": 2})
    kept = {"data": questions(picture), "rewards": Two([never], [1.0]), "folder": tmp_path / "run", "seed": 0}
    with caplog.at_level(logging.INFO):
        grpo(args, vlm=tiny(seed=1, device="cpu"), **kept)
    assert [row["train/without_reward"] for row in lines(tmp_path / "run" / "metrics.jsonl")] == [1, 1]
    assert "and 2 of all completions none at all" in caplog.text
    assert "returned None" not in caplog.text


LOSSES = [{"loss_type": name} for name in ("grpo", "dr_grpo", "dapo", "bnpo", "sapo")]
LOSSES += [{"loss_type": "grpo", "importance_sampling_level": "sequence", "beta": 0.1}]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: "-".join(map(str, loss.values())))
def test_every_loss_moves_the_weights(tmp_path, picture, loss):
    before = tiny(seed=1, device="cpu").model.state_dict()
    vlm, _, log = fitted(tmp_path / "run", questions(picture), args={**loss, "max_steps": 2})
    assert all(row["train/grad_norm"] > 0 for row in log)
    assert any(not torch.equal(value, before[name]) for name, value in vlm.model.state_dict().items())
    assert ("train/kl" in log[-1]) == ("beta" in loss)


@pytest.mark.parametrize("adapted", [False, True])
def test_the_reference_is_the_model_that_training_began_with(tmp_path, picture, adapted):
    """The divergence from it is nothing before the first step, and grows; also where weights lie in no folder."""
    vlm = tiny(seed=1, device="cpu")
    vlm = lora(vlm, rank=4, dropout=0.0) if adapted else vlm
    _, _, log = fitted(tmp_path / "run", questions(picture), vlm, args={"beta": 0.1, "learning_rate": 3e-3})
    assert log[0]["train/kl"] == pytest.approx(0, abs=1e-6)
    assert log[-1]["train/kl"] > 1e-5
    assert vlm.adapters == (["default"] if adapted else [])


def test_a_resumed_reference_is_still_the_start(tmp_path, picture):
    args = {"beta": 0.1, "learning_rate": 3e-3, "save_strategy": "steps", "save_steps": 2}
    _, _, whole = fitted(tmp_path / "run", questions(picture), args=args)
    again = resumed(tmp_path, questions(picture), args)
    assert again == [without_times(row) for row in whole]


TIMES = {"seconds", "train/step_time"}


def without_times(row: dict) -> dict:
    return {key: value for key, value in row.items() if key not in TIMES}


def resumed(tmp_path: Path, data: Dataset, args: dict, make=lambda: tiny(seed=1, device="cpu")) -> list[dict]:
    """The run again from its checkpoint at step 2, as if it had been killed before the next one."""
    folder = tmp_path / "again"
    shutil.copytree(tmp_path / "run", folder)
    for later in (folder / "checkpoints").glob("step-[3-9]"):
        shutil.rmtree(later)
    fitted(folder, data, make(), args=args, resume=True)
    assert lines(folder / "completions.jsonl") == lines(tmp_path / "run" / "completions.jsonl")
    return [without_times(row) for row in lines(folder / "metrics.jsonl")]


RESUMED = {
    "aligned": {},
    "between two lines of the log": {"logging_steps": 4},
    "in the middle of a generation": {"num_iterations": 2, "steps_per_generation": 2, "max_steps": 5},
    "several micro-batches": {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4},
}


@pytest.mark.parametrize("how", RESUMED)
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, picture, how):
    args = {"save_strategy": "steps", "save_steps": 2, "learning_rate": 1e-2, **RESUMED[how]}
    _, _, whole = fitted(tmp_path / "run", questions(picture, 3), args=args)
    assert resumed(tmp_path, questions(picture, 3), args) == [without_times(row) for row in whole]


def test_a_run_that_had_ended_takes_no_further_step(tmp_path, picture):
    args = {"save_strategy": "steps", "save_steps": 1, "num_iterations": 2, "max_steps": 1}
    fitted(tmp_path / "run", questions(picture), args=args)
    _, fit, log = fitted(tmp_path / "run", questions(picture), args=args, resume=True)
    assert (fit.steps, len(log)) == (1, 1)


def test_a_run_is_not_resumed_with_other_rewards(tmp_path, picture):
    args = {"save_strategy": "steps", "save_steps": 2}
    fitted(tmp_path / "run", questions(picture), args=args)
    other = functools.partial(GRPOConfig, **{**ARGS, **args})
    with pytest.raises(UserError, match="rewards: was"):
        grpo(
            other,
            vlm=tiny(seed=1, device="cpu"),
            data=questions(picture),
            rewards=Two(weights=[1.0, 0.1]),
            folder=tmp_path / "run",
            seed=0,
            resume=True,
        )


FAMILIES = {
    "tiny": lambda folder: tiny(seed=1, device="cpu"),
    "tiles": lambda folder: tiny(seed=1, device="cpu", image=ImageSettings(split=True, size=64)),
    "qwen": lambda folder: tiny_qwen3_vl(seed=1, device="cpu"),
    "nanovlm": nanovlms.small,
}
COUNTS = [0, 2, 1, 1]  # as many pictures as rows: what TRL alone would take for one each


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_with_different_numbers_of_pictures_say_what_each_says_alone(tmp_path, picture, family, monkeypatch):
    """The log-probabilities that a mixed batch is trained on, against the plain model on each row by itself."""
    vlm = FAMILIES[family](tmp_path)
    seen = []
    whole = PolicyTrainer._compute_loss

    def spied(trainer, model, inputs):
        seen.append((trainer, dict(inputs)))
        return whole(trainer, model, inputs)

    monkeypatch.setattr(PolicyTrainer, "_compute_loss", spied)
    data = questions(picture)
    mixed = [question(i, picture, count, "what is it?" + " a" * i) for i, count in enumerate(COUNTS)]
    data = replace(data, splits={**data.splits, "train": mixed})
    args = {"max_steps": 1, "num_generations": 2, "steps_per_generation": 2, "per_device_train_batch_size": 4}
    fitted(tmp_path / "run", data, vlm, args={**args, "learning_rate": 0.0})
    trainer, inputs = seen[0]
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    keep, names = inputs["completion_ids"].shape[1], ("pixel_values", "pixel_attention_mask", "image_grid_thw")
    fields = {key: inputs[key] for key in (*names, "num_images", "mm_token_type_ids") if key in inputs}
    with torch.no_grad():
        for size in (4, 1):
            found, _, _ = trainer._get_per_token_logps_and_entropies(vlm.model, ids, mask, keep, size, **fields)
            for row in range(4):
                alone = said_alone(vlm, data, ids[row][mask[row].bool()], int(inputs["completion_mask"][row].sum()))
                assert torch.allclose(found[row][: len(alone)], alone, atol=1e-4), (family, size, row)


def said_alone(vlm, data: Dataset, ids: torch.Tensor, completion: int) -> torch.Tensor:
    """Log-probabilities of a row's completion from the model as the other rooms call it."""
    prompts = {tuple(encode(vlm.chat(s, reply=False), vlm.tokenizer).ids): s for s in data.splits["train"]}
    assert len(prompts) == 4, "every prompt is known by its tokens"
    shown = list(prompts[tuple(ids[:-completion].tolist())].pictures)
    inputs = {"input_ids": ids[None], "attention_mask": torch.ones_like(ids)[None]}
    places = vlm.images.places(inputs["input_ids"], inputs["attention_mask"], shown)
    logits = vlm.model(**inputs, **places, **vlm.images.pixels(shown)).logits[0]
    return logits.log_softmax(-1)[:-1].gather(1, ids[1:, None])[-completion:, 0]


@pytest.mark.parametrize("family", FAMILIES)
def test_no_picture_and_no_special_token_but_the_end_is_sampled(tmp_path, picture, family):
    vlm = FAMILIES[family](tmp_path)
    special = set(special_tokens(vlm))
    asked = encode(vlm.chat(question(0, picture), reply=False), vlm.tokenizer)
    control = {token for token in asked.ids if vlm.tokenizer.decode([token]) in vlm.tokenizer.all_special_tokens}
    assert vlm.image_token_id in control
    assert control - special == {vlm.bare.generation_config.eos_token_id} & control
    head = vlm.bare.get_output_embeddings()
    with torch.no_grad():  # a model that would say nothing else
        head.weight[:] = 0.01 * head.weight
        head.weight[sorted(special)] += vlm.bare.get_input_embeddings().weight.mean()
    said: list[list[int]] = []
    watched = Two(
        functions=[lambda completion_ids, **rest: (said.extend(completion_ids), [1.0] * len(completion_ids))[1]]
    )
    watched.functions[0].__name__ = "watched"
    args = functools.partial(GRPOConfig, **{**ARGS, "max_steps": 1, "temperature": 5.0})
    (tmp_path / "run").mkdir()
    grpo(
        args, vlm=vlm, data=questions(picture), rewards=replace(watched, weights=[1.0]), folder=tmp_path / "run", seed=0
    )
    assert said
    assert not special & {token for completion in said for token in completion}


def test_vllm_is_told_the_same_in_its_own_words(vlm):
    given = forbidding(vlm, {"logit_bias": {5: 1.0}}, vllm=True)["logit_bias"]
    assert given.pop(5) == 1.0
    assert given == dict.fromkeys(special_tokens(vlm), -100.0)
    assert forbidding(vlm, {"suppress_tokens": [5]}, vllm=False)["suppress_tokens"] == sorted([5, *special_tokens(vlm)])


def refused(tmp_path, data: Dataset, **more) -> str:
    with pytest.raises(UserError) as refusal:
        fitted(tmp_path / "run", data, **more)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    return str(refusal.value)


def test_prompts_are_counted_in_true_tokens_before_training(tmp_path, picture, vlm):
    data = questions(picture)
    longest = len(encode(vlm.chat(data.splits["train"][0], reply=False), vlm.tokenizer))
    said = refused(tmp_path, data, max_prompt_length=longest - 1)
    assert f"asked/train[0] (q-0): {longest} tokens, over the limit of {longest - 1}" in said
    fitted(tmp_path / "fits", data, max_prompt_length=longest, args={"max_steps": 1})
    assert "leaves no room" in refused(tmp_path, data, args={"max_completion_length": vlm.max_length})


def test_what_cannot_be_learnt_from_is_refused(tmp_path, picture):
    data = questions(picture)
    assert "not asked" in refused(tmp_path, replace(data, task="classification"))
    assert "training split is empty" in refused(tmp_path, replace(data, splits={**data.splits, "train": []}))
    renamed = replace(data.splits["train"][0], meta={"columns": {"prompts": "x"}})
    assert "called prompts" in refused(tmp_path, replace(data, splits={**data.splits, "train": [renamed]}))
    assert "divisible" in refused(tmp_path, data, args={"per_device_train_batch_size": 6})
    assert "sync_ref_model" in refused(tmp_path, data, args={"sync_ref_model": True})
    assert "use_vllm is decided" in refused(tmp_path, data, args={"use_vllm": True}, generation={"use_vllm": False})
    assert "trainer.args.reward_weights is decided" in refused(tmp_path, data, args={"reward_weights": [1.0, 1.0]})
