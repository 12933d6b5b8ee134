"""TRL's own trainer makes advantages of these rewards: a failed judgement moves nobody's but its own, which is 0."""

from __future__ import annotations

import json
import math

import pytest
import torch
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM
from trl import GRPOConfig, GRPOTrainer

from prospect.evaluation.judge import Verdict
from prospect.evaluation.rewards.composed import Rewards
from prospect.evaluation.rewards.form import length
from prospect.evaluation.rewards.judged import JudgeReward
from prospect.evaluation.rewards.part import Part
from prospect.models.words import small_tokenizer

GROUP = 4
QUESTIONS = ("How many discs?", "What colour is it?")
FULL = 40  # characters


def mixed(judge):
    earns = lambda **given: length(longest=FULL, **given)  # noqa: E731
    return Rewards([Part("length", 0.5, earns, "form"), Part("judge", 1.0, judge, "nothing")], judge=judge)


def judging(failing=()):
    """A judge by the letters of a completion, whose numbered judgements fail."""
    said = []

    def ask(asked):
        said.extend(each.completion for each in asked)
        scores = [Verdict({"score": sum(map(ord, each.completion)) % 11}) for each in asked]
        return [Verdict(None, "down") if number in failing else score for number, score in enumerate(scores)]

    return JudgeReward(ask), said


def trained(folder, functions, weights, seed=0, **settings):
    """One step; what TRL kept of it, and whether any weight moved."""
    torch.manual_seed(seed)
    tokenizer = small_tokenizer()
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes))
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    args = GRPOConfig(
        output_dir=str(folder), per_device_train_batch_size=8, num_generations=GROUP, max_completion_length=8,
        max_steps=1, logging_steps=1, save_strategy="no", report_to="none", bf16=False, use_cpu=True, seed=seed,
        learning_rate=1e-2, reward_weights=weights, disable_tqdm=True, log_completions=False, **settings,
    )  # fmt: skip
    rows = Dataset.from_list([{"prompt": q, "answer": "2", "sample_id": q} for q in QUESTIONS])
    trainer = GRPOTrainer(model, reward_funcs=functions, args=args, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    moved = any(not torch.equal(before[name], weight) for name, weight in model.named_parameters())
    kept = {name: list(values) for name, values in trainer._logs["rewards"].items()}
    return kept, list(trainer._logs["advantages"]), list(trainer._logs["prompt"]), trainer.state.log_history[0], moved


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    judge, said = judging()
    of = mixed(judge)
    found = trained(tmp_path_factory.mktemp("whole"), of.functions, of.weights)
    assert len(set(said)) == 2 * GROUP  # else fewer were judged than there are
    return found


def advantages(total):
    """Of a group, by hand: unbiased deviation over those that are left."""
    left = [value for value in total if value is not None]
    mean = sum(left) / len(left) if left else 0.0
    spread = math.sqrt(sum((value - mean) ** 2 for value in left) / (len(left) - 1)) if len(left) > 1 else 0.0
    return [0.0 if value is None else (value - mean) / (spread + 1e-4) for value in total]


@pytest.mark.parametrize("failing", [(2,), (0, 5), (1, 2, 3), (0, 1, 2, 3)])
def test_what_failed_moves_nobody_else(whole, tmp_path, failing):
    judge, _ = judging(failing)
    of = mixed(judge)
    before, _, order, _, _ = whole
    kept, found, after_order, logged, moved = trained(tmp_path, of.functions, of.weights)
    assert after_order == order == [order[0]] * GROUP + [order[GROUP]] * GROUP
    for name, values in kept.items():
        for place, (was, value) in enumerate(zip(before[name], values, strict=True)):
            assert math.isnan(value) if place in failing else value == was
    total = [None if p in failing else 0.5 * before["length"][p] + before["judge"][p] for p in range(2 * GROUP)]
    expected = advantages(total[:GROUP]) + advantages(total[GROUP:])
    assert found == pytest.approx(expected, abs=1e-3)
    assert moved
    assert logged["judge/failed"] == len(failing) / 8
    assert logged["judge/lost_groups"] == of.counts()["lost_groups"] == (len(failing) == GROUP)
    assert logged["reward"] == pytest.approx(sum(t for t in total if t is not None) / (8 - len(failing)), abs=1e-5)
    json.dumps(logged, allow_nan=False)


def test_a_batch_of_which_nothing_is_left_teaches_nothing(tmp_path):
    judge, _ = judging(range(8))
    of = mixed(judge)
    _, found, _, logged, moved = trained(tmp_path, of.functions, of.weights)
    assert found == [0.0] * 8
    assert not moved
    assert logged["reward"] is None
    assert logged["judge/lost_groups"] == of.counts()["lost_groups"] == 2


def test_trl_alone_would_take_a_failure_for_the_lowest_score(whole, tmp_path):
    """Why a failed judgement is None of every function: TRL sums what is left, like any other number."""
    judge, _ = judging((2,))
    functions = [part.function for part in mixed(judge).parts]
    _, found, _, _, _ = trained(tmp_path, functions, [0.5, 1.0])
    assert found[2] < 0
    assert found[:2] != pytest.approx(whole[1][:2])
