"""Claims of training on streams: exact accumulation, a clip's loss is its own, ρ is drawn anew, one clip is learnt."""

from __future__ import annotations

import functools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainingArguments

from prospect.conversation.segments import IGNORE
from prospect.data.dataset import Dataset
from prospect.evaluation.watched import progress, scored
from prospect.models.adapt import full, lora
from prospect.models.sealed import model_folder
from prospect.models.stream import for_streams
from prospect.models.stream_settings import StreamSettings
from prospect.models.tiny import tiny
from prospect.training.audit import encoded_split
from prospect.training.collate import TARGETS, collator
from prospect.training.fit import supervised
from prospect.training.losses import dst
from prospect.training.teacher_forced import teacher_forced

TERMS = {"speaking_gen", "dst_gen", "speaking_binary", "dst_binary"}


def watcher(heads: str = "binary", **sizes):
    return for_streams(tiny(seed=1, device="cpu", stream=StreamSettings(heads=heads), **sizes), seed=1)


def fitted(folder, data, batch: int, accumulation: int, **more):
    vlm = watcher(more.pop("heads", "binary"), width=48, layers=1)
    options = {"max_steps": 5, "learning_rate": 0.05, "logging_steps": 1, "optim": "sgd", "save_strategy": "no"}
    options |= {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
    args = functools.partial(TrainingArguments, **{**options, **more.pop("args", {})})
    folder.mkdir(exist_ok=True)
    supervised(args, vlm=vlm, data=data, loss=dst(1.0, 2.0, 0.5, 3.0), folder=folder, seed=0, **more)
    return vlm, [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same_logs(some, others) -> None:
    for ours, theirs in zip(some, others, strict=True):
        assert ours.keys() == theirs.keys()
        for key in ours.keys() - {"seconds"}:
            assert ours[key] == pytest.approx(theirs[key], abs=2e-6, rel=2e-6), key


@pytest.mark.parametrize("heads", ["binary", "token"])
def test_accumulation_is_exact_for_every_term(tmp_path, clips, heads):
    (whole, logs), (cut, cut_logs) = (fitted(tmp_path / str(n), clips, n, 4 // n, heads=heads) for n in (4, 1))
    for name, parameter in whole.model.named_parameters():
        assert torch.allclose(parameter, dict(cut.model.named_parameters())[name], atol=1e-6, rtol=0), name
    same_logs(logs, cut_logs)
    assert all(f"train/loss_{term}" in row for term in TERMS for row in logs[1:] if "train/loss" in row)


def test_workers_change_nothing(tmp_path, clips):
    runs = [fitted(tmp_path / str(n), clips, 4, 1, args={"dataloader_num_workers": n})[1] for n in (0, 2)]
    same_logs(*runs)


def test_the_phases_come_one_after_the_other(tmp_path, clips):
    """20 % captions, 40 % dense clips: captions have neither updates nor decisions."""
    rows = [row for row in fitted(tmp_path / "run", clips, 4, 1)[1] if "train/loss" in row]
    for term in TERMS:
        there = [
            f"train/loss_{term}" in row for row in rows
        ]  # a term that there is nothing of is not 0, it isn't there
        assert there == [term == "speaking_gen", True, True, True, True]


def terms_of(vlm, items, side: str) -> dict[str, dict[str, float]]:
    """Every term of every sample, computed within one batch."""
    batch = collator(vlm, side)(items)
    with torch.no_grad():
        outputs = vlm.model(**{key: value for key, value in batch.items() if key not in TARGETS})
    objective = dst()
    result = {}
    for row, item in enumerate(items):
        own = batch["decision_points"][:, 0] == row
        alone = {**batch, "labels": torch.full_like(batch["labels"], IGNORE)}
        alone["labels"][row] = batch["labels"][row]
        alone["decision_labels"] = batch["decision_labels"][own]
        mine = type(outputs)(logits=outputs.logits, decisions=outputs.decisions[own])
        result[item.sample.id] = {k: v.item() for k, v in objective.terms(objective(mine, alone)).items()}
    return result


def test_a_clip_has_the_same_loss_alone_and_in_any_batch(clips):
    vlm = watcher()
    vlm.model.double()
    vlm.model.decisions.float()  # computed in single precision whatever the type
    items = encoded_split(vlm, clips.splits["train"][:4], "train")
    alone: dict = {}
    for item in items:
        alone |= terms_of(vlm, [item], "left")
    assert len({terms["speaking_binary"] for terms in alone.values()}) == 4
    for side in ("left", "right"):
        for order in (items, items[::-1]):
            together = terms_of(vlm, order, side)
            for name, terms in alone.items():
                assert together[name] == pytest.approx(terms, abs=1e-5, rel=0)


def test_silent_frames_are_drawn_anew_each_epoch_and_inputs_stay(clips):
    vlm = watcher()
    items = encoded_split(vlm, clips.splits["train"][:3], "train")
    batches = [
        collator(vlm, neg_frame_sampling_rate=0.3, seed=0)([item._replace(epoch=epoch) for item in items])
        for epoch in (0, 0, 1, None)
    ]
    first, again, later, evaluation = batches
    assert torch.equal(first["decision_points"], again["decision_points"])
    assert not torch.equal(first["decision_points"], later["decision_points"])
    assert len(first["decision_points"]) == len(later["decision_points"])
    for batch in batches:
        silent = (~batch["decision_labels"].any(dim=1)).sum().item()
        whole = [(~item.encoded.right.any(axis=1)).sum() for item in items]
        assert silent == (sum(whole) if batch is evaluation else sum(int(0.3 * n + 0.5) for n in whole))
        assert all(torch.equal(batch[key], first[key]) for key in ("input_ids", "labels", "frame_pixels"))


def test_decision_points_lie_on_the_last_token_of_a_frame(clips):
    vlm = watcher()
    items = encoded_split(vlm, clips.splits["train"], "train")
    for side in ("left", "right"):
        batch = collator(vlm, side)(items)
        rows, columns = batch["decision_points"].unbind(1)
        assert (batch["input_ids"][rows, columns] == vlm.image_token_id).all()
        assert len({tuple(point) for point in batch["decision_points"].tolist()}) == len(rows)
        follows = batch["input_ids"][rows, (columns + 1).clamp(max=batch["input_ids"].shape[1] - 1)]
        speaks_or_changes = batch["decision_labels"].any(dim=1)
        assert (follows[speaks_or_changes] != vlm.image_token_id).all()


def test_teacher_forced_numbers_equal_counting_by_hand(clips):
    """Against the plain logits of one clip at a time, with nothing of ours in between but the labels."""
    vlm, objective = watcher(), dst()
    items = encoded_split(vlm, clips.splits["val"], "val")
    seen = [teacher_forced(vlm.model, collator(vlm), objective, items, size) for size in (1, 3)]
    tokens, turns = {"speak": [0, 0], "dst": [0, 0]}, {"speak": [0, 0], "dst": [0, 0]}
    negative: dict[str, float] = {"speak": 0.0, "dst": 0.0}
    for item in items:
        inputs = {"input_ids": torch.tensor([item.encoded.ids])}
        inputs |= vlm.frame_layout.inputs(item.sample.frames)
        with torch.no_grad():
            logits = vlm.model(**inputs).logits[0]
        for channel, start, stop in item.encoded.spans():
            if channel is None:
                continue
            target = torch.tensor(item.encoded.ids[start:stop])
            right = (logits[start - 1 : stop - 1].argmax(-1) == target).tolist()
            tokens[channel][0] += sum(right)
            tokens[channel][1] += len(right)
            turns[channel][0] += all(right)
            turns[channel][1] += 1
            likely = torch.log_softmax(logits[start - 1 : stop - 1], -1)
            negative[channel] -= likely[range(stop - start), target].sum().item()
    for one in seen:
        assert {channel: list(pair) for channel, pair in one.tokens.items() if pair[1]} == tokens
        assert {channel: list(pair) for channel, pair in one.turns.items() if pair[1]} == turns
        for channel, term in (("speak", "speaking_gen"), ("dst", "dst_gen")):
            assert one.losses[term] == pytest.approx(negative[channel] / tokens[channel][1], rel=1e-5)
        assert len(one.decided.labels) == sum(len(frames) for item in items for frames in item.sample.frames)
    assert seen[0].loss == pytest.approx(seen[1].loss, rel=1e-5)


def test_one_clip_is_learnt_exactly(tmp_path, clips):
    """Utterances, updates and decisions: what cannot be overfitted is labelled wrong."""
    one = next(clip for clip in clips.splits["train"] if clip.meta["user_type"] == "talk_more")
    data = Dataset("one", "stream", {"train": [one], "val": [one], "test": []})
    vlm = watcher()
    args = functools.partial(
        TrainingArguments,
        max_steps=120,
        learning_rate=3e-3,
        warmup_steps=10,
        save_strategy="no",
        logging_steps=40,
        per_device_train_batch_size=1,
    )
    supervised(args, vlm=vlm, data=data, loss=dst(), folder=tmp_path, seed=0, optimizer="muon")
    seen = teacher_forced(vlm.model, collator(vlm), dst(), encoded_split(vlm, [one], "one"), 1)
    result = scored(seen, {"speak": 0.5, "dst": 0.5}).metrics
    assert {name: result[name] for name in ("speak/f1", "dst/f1", "speak/exact", "dst/exact")} == {
        "speak/f1": 1.0,
        "dst/f1": 1.0,
        "speak/exact": 1.0,
        "dst/exact": 1.0,
    }


def test_long_streams_are_split_and_every_event_stays(clips):
    vlm = watcher()
    whole = encoded_split(vlm, clips.splits["train"], "train")
    longest = max(len(item.encoded) for item in whole)
    split = encoded_split(vlm, clips.splits["train"], "train", max_length=longest * 2 // 3, overlap=3.0)
    assert len(split) > len(whole)
    assert max(len(item.encoded) for item in split) <= longest * 2 // 3
    sums = [np.sum([item.encoded.right.sum(axis=0) for item in items], axis=0).tolist() for items in (whole, split)]
    assert sums[0] == sums[1]
    assert sum(len(i.encoded.points) for i in whole) == sum(len(i.encoded.points) for i in split)


def test_a_split_phase_trains_through(tmp_path, clips):
    data = replace(clips, warmup=())
    rows = fitted(tmp_path / "run", data, 2, 1, max_length=300, tokens_a_batch=700)[1]
    assert rows[-1]["step"] == 5


@pytest.mark.parametrize("adapt", [full, lora])
def test_trained_weights_of_a_half_precision_model_are_kept_in_single(tmp_path, clips, adapt):
    """In bfloat16 most weights would not move at all at so small a rate."""
    vlm = adapt(for_streams(tiny(seed=1, device="cpu", dtype="bfloat16", width=48, layers=1), seed=1))
    trained = [name for name, p in vlm.model.named_parameters() if p.requires_grad]
    start = {name: p.detach().float().clone() for name, p in vlm.model.named_parameters()}
    args = functools.partial(
        TrainingArguments, max_steps=4, learning_rate=1e-6, save_strategy="no", per_device_train_batch_size=4, bf16=True
    )
    supervised(args, vlm=vlm, data=replace(clips, warmup=()), loss=dst(), folder=tmp_path, seed=0)
    for name, parameter in vlm.model.named_parameters():
        assert parameter.dtype == (torch.float32 if name in trained else torch.bfloat16)
    moved = [
        (p != start[name]).float().mean().item()
        for name, p in vlm.model.named_parameters()
        if name in trained and "lora_A" not in name and "embed" not in name and "bias" not in name
    ]
    assert min(moved) > 0.9


def test_the_best_checkpoint_and_patience_go_by_any_metric(tmp_path, clips):
    """At so large a rate it soon gets worse; two worse evaluations in a row are the end."""
    args = {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2, "max_steps": 40}
    args |= {"metric_for_best_model": "dst/ap", "greater_is_better": True, "load_best_model_at_end": True}
    args |= {"optim": "adamw_torch", "learning_rate": 0.03}
    data = replace(clips, warmup=())
    vlm, rows = fitted(tmp_path / "run", data, 4, 1, args=args, patience=2, score=progress)
    scores = [row["val/dst/ap"] for row in rows if "val/dst/ap" in row]
    best = scores.index(max(scores))
    assert rows[-1]["step"] < 40
    assert len(scores) == best + 3
    folder = model_folder(tmp_path / "run")
    assert folder.name == f"step-{2 * best + 2}"
    kept = load_file(folder / "model.safetensors")
    assert torch.equal(vlm.model.decisions.out.weight, kept["decisions.out.weight"])
