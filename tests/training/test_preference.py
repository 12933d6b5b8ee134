"""DPO on TRL: each answer's log-probabilities are those of that conversation alone, every loss runs, modes and families
train, accumulation is exact, and what cannot be trained is refused in one message."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.models import nanovlms
from trl import DPOConfig
from trl.trainer.utils import add_fused_lm_head

from prospect.conversation.preference import rejected
from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import encode
from prospect.data.dataset import Dataset
from prospect.errors import UserError
from prospect.models import adapt
from prospect.models.images import ImageSettings
from prospect.models.tiny import tiny
from prospect.models.tiny_qwen3_vl import tiny_qwen3_vl
from prospect.training.collate import collator
from prospect.training.losses import lm
from prospect.training.preference import dpo
from prospect.training.preference_trainer import NOT_FOR_THE_MODEL, Pairs
from prospect.training.preferred import Preferred, encoded_pairs, preferred

TYPES = [
    *("sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired"),
    *("apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm"),
]
ANSWERS = [("fire", "water and some more wood"), ("a metal gear above the land", "wood"), ("land", "fire")]


def tiled(**options):
    return tiny(image=ImageSettings(split=True, size=96), **options)


def small_nanovlm(**options):
    with tempfile.TemporaryDirectory() as folder:
        return nanovlms.small(Path(folder), **options)


MAKE = {"tiny": tiny, "tiles": tiled, "qwen3_vl": tiny_qwen3_vl, "nanovlm": small_nanovlm}


def pair(number: int, pictures: list) -> Sample:
    won, lost = ANSWERS[number % len(ANSWERS)]
    asked = (*map(Picture, pictures), "what is it?" + " now" * (number % 4))
    return Sample(f"pair-{number}", (Turn("user", asked), Turn("assistant", (won,))), {"rejected": lost})


def pairs(picture, count: int = 6) -> list[Sample]:
    """With none to four pictures each, of several sizes."""
    return [pair(n, [picture.rotate(20 * n + k).resize((40 + 8 * k, 32)) for k in range(n % 5)]) for n in range(count)]


def dataset(picture, count: int = 8) -> Dataset:
    samples = pairs(picture, count)
    return Dataset("pairs", "preferences", {"train": samples, "val": samples[:3], "test": []}, by_user=False)


def fitted(folder, picture, vlm, data=None, longest=None, **args):
    options = {"max_steps": 2, "learning_rate": 0.05, "logging_steps": 1, "optim": "sgd", "save_strategy": "no"}
    options |= {
        "bf16": False,
        "gradient_checkpointing": False,
        "lr_scheduler_type": "constant",
        "loss_type": ["sigmoid"],
    }
    folder.mkdir(exist_ok=True)
    given = functools.partial(DPOConfig, **{**options, "per_device_train_batch_size": 4, **args})
    fit = dpo(given, vlm, data or dataset(picture), folder, 0, lm({"answer": 1.0}), max_length=longest)
    return fit, [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


# --- log-probabilities ----------------------------------------------------------------------------------------------


def one_by_one(vlm, sample: Sample) -> np.ndarray:
    """log p of each token that the last turn is made of: one conversation, no padding, the whole of the logits."""
    encoded = encode(vlm.chat(sample), vlm.tokenizer)
    ids = torch.tensor([encoded.ids])
    pictures = list(sample.pictures)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    inputs |= vlm.images.places(ids, torch.ones_like(ids), pictures) | vlm.images.pixels(pictures)
    with torch.no_grad():
        every = vlm.model(**inputs).logits[0].float().log_softmax(-1)
    answer = [place for place, channel in enumerate(encoded.channels) if channel == "answer"]
    text = vlm.tokenizer.decode(encoded.tokens[answer])
    assert text == vlm.learnt_texts(sample)[-1]
    return np.array([every[place - 1, encoded.tokens[place]].item() for place in answer])


@pytest.mark.parametrize("family", MAKE)
def test_a_batch_of_mixed_picture_counts_is_each_conversation_alone(family, picture):
    vlm = MAKE[family](seed=1, device="cpu")
    samples = pairs(picture)
    expected = [one_by_one(vlm, sample) for sample in [*samples, *map(rejected, samples)]]
    items = encoded_pairs(vlm, samples, "pairs")
    found = preferred(vlm, items, batch_size=4)
    sums = np.array([tokens.sum() for tokens in expected]).reshape(2, -1).T
    np.testing.assert_allclose(found, sums, atol=2e-4)

    add_fused_lm_head(vlm.model)  # what TRL's trainer asks
    batch = Pairs(collator(vlm))([items])
    assert not NOT_FOR_THE_MODEL & batch.keys()
    answers, ids = batch.pop("completion_mask"), batch.pop("sample_ids")
    assert ids == [sample.id for sample in samples] * 2
    labels = batch["input_ids"].masked_fill(answers == 0, -100)
    with torch.no_grad():
        tokens = vlm.model(**batch, labels=labels, fused_lm_head=True, use_cache=False).log_probs
    for row, (wanted, mask) in enumerate(zip(expected, answers[:, 1:].bool(), strict=True)):
        np.testing.assert_allclose(tokens[row][mask].numpy(), wanted, atol=2e-4)


def test_preferences_by_hand():
    policy = np.array([[-1.0, -3.0], [-2.0, -2.0], [-5.0, -1.0]])
    alone = Preferred(policy)
    assert alone.likelier.tolist() == [1, 0.5, 0]
    assert alone.columns().keys() == {"preference_likelier"}
    same = Preferred(policy, policy, 0.1)
    assert same.means() == {
        "preference_accuracy": 0.5,  # where nothing has been trained, half of the pairs are right
        "preference_margin": 0.0,
        "preference_likelier": 0.5,
        "preference_likelier_before": 0.5,
    }
    moved = Preferred(policy, np.array([[-2.0, -2.0], [-1.0, -4.0], [-5.0, -1.0]]), 0.5)
    assert moved.margins.tolist() == [1.0, -1.5, 0.0]
    assert moved.accuracy.tolist() == [1, 0, 0.5]
    assert moved.likelier_before.tolist() == [0.5, 1, 0]


# --- training -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["full", "lora"])
@pytest.mark.parametrize("family", MAKE)
def test_every_family_trains_and_is_measured_against_its_start(family, mode, tmp_path, picture):
    vlm = getattr(adapt, mode)(MAKE[family](seed=1, device="cpu"))
    data = dataset(picture)
    items = encoded_pairs(vlm, data.splits["val"], "val")
    start = preferred(vlm, items, 2)
    fit, lines = fitted(tmp_path, picture, vlm, data, max_steps=6, eval_strategy="steps", eval_steps=6, beta=0.5)
    assert fit.steps == 6
    np.testing.assert_allclose(preferred(fit.reference.vlm, items, 2), start, atol=1e-5)
    now = preferred(vlm, items, 2)
    assert np.abs(now - start).max() > 1e-3
    assert lines[0]["train/loss"] == pytest.approx(np.log(2), abs=1e-5)  # nothing is preferred yet
    assert lines[0]["train/rewards/margins"] == pytest.approx(0, abs=1e-5)
    (val,) = [line for line in lines if "val/loss" in line]
    expected = Preferred(now, start, 0.5)
    assert val["val/preference_margin"] == pytest.approx(expected.margins.mean(), abs=1e-4)
    assert val["val/loss"] == pytest.approx(np.log1p(np.exp(-expected.margins)).mean(), abs=1e-4)
    assert {"val/preference_accuracy", "val/preference_likelier", "val/preference_likelier_before"} <= val.keys()
    assert "forward" not in vars(vlm.bare) | vars(fit.reference.vlm.bare)


@pytest.mark.parametrize("losses", [*([kind] for kind in TYPES), ["sigmoid", "bco_pair", "sft"]], ids="-".join)
def test_every_loss_of_trl_runs(losses, tmp_path, picture, vlm):
    smoothing = 1e-3 if losses == ["exo_pair"] else 0.1
    weights = [0.8, 0.2, 1.0][: len(losses)] if len(losses) > 1 else None
    before = [parameter.clone() for parameter in vlm.model.parameters()]
    _, lines = fitted(tmp_path, picture, vlm, loss_type=losses, loss_weights=weights, label_smoothing=smoothing)
    assert len([line for line in lines if np.isfinite(line["train/loss"])]) == 2
    assert any(not torch.equal(*both) for both in zip(before, vlm.model.parameters(), strict=True))


def test_accumulation_is_exact(tmp_path, picture):
    whole, halves = tiny(seed=1, device="cpu"), tiny(seed=1, device="cpu")
    _, one = fitted(tmp_path / "1", picture, whole, per_device_train_batch_size=4, max_steps=4)
    more = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4, "max_steps": 4}
    _, other = fitted(tmp_path / "2", picture, halves, **more)
    for a, b in zip(whole.model.parameters(), halves.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-6, rtol=1e-4)
    losses = [[line["train/loss"] for line in lines] for lines in (one, other)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_nothing_is_learnt_but_the_last_answer(picture, vlm):
    turns = (Turn("user", (Picture(picture), "a?")), Turn("assistant", ("wood",), learn=False), Turn("user", ("b?",)))
    sample = Sample("several", (*turns, Turn("assistant", ("fire",))), {"rejected": "land"})
    batch = Pairs(collator(vlm))([encoded_pairs(vlm, [sample], "pairs")])
    texts = [
        vlm.tokenizer.decode(row[mask.bool()])
        for row, mask in zip(batch["input_ids"], batch["completion_mask"], strict=True)
    ]
    assert texts == [" fire<end_of_utterance>", " land<end_of_utterance>"]


# --- what cannot be trained -----------------------------------------------------------------------------------------


def test_a_conversation_too_long_with_either_answer(tmp_path, picture, vlm):
    sample = pair(0, [])
    longer = Sample("long", sample.turns, {"rejected": "wood " * 60})
    data = Dataset("pairs", "preferences", {"train": [sample, longer], "val": [], "test": []})
    told = r"pairs/train, rejected\[1\] \(long\): \d+ tokens, over the limit of 40"
    with pytest.raises(UserError, match=told):
        fitted(tmp_path, picture, vlm, data, longest=40)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"precompute_ref_log_probs": True}, r"trainer\.args\.precompute_ref_log_probs is not for trainer=dpo"),
        ({"max_length": 512}, r"trainer\.args\.max_length is not for trainer=dpo: .* trainer\.max_length"),
        ({"fsdp": "true"}, r"trainer\.args\.fsdp is not for trainer=dpo"),
        ({"loss_type": ["sigmod"]}, r"trainer\.args\.loss_type=sigmod: TRL has .*sigmoid"),
        ({"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0]}, r"trainer\.args\.loss_weights has 1 .* 2"),
        ({"loss_type": ["exo_pair"]}, r"trainer\.args\.label_smoothing"),
        ({"label_smoothing": 0.5, "loss_type": ["robust"]}, r"trainer\.args\.label_smoothing=0.5"),
        ({"beta": 0.0}, r"trainer\.args\.beta=0.0: must be above 0"),
    ],
)
def test_arguments_that_make_no_sense(args, told, tmp_path, picture, vlm):
    with pytest.raises(UserError, match=told):
        fitted(tmp_path, picture, vlm, **args)


def test_data_without_pairs(tmp_path, picture, vlm):
    data = Dataset("chats", "answers", {"train": pairs(picture, 2), "val": [], "test": []})
    with pytest.raises(UserError, match="trainer=dpo learns from pairs of answers, and chats has none"):
        fitted(tmp_path, picture, vlm, data)
