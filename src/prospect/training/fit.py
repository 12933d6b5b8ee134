"""`conf/trainer/supervised.yaml`: audit the labels, lay out the run, train, say how it ended."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast

import torch
from transformers import EarlyStoppingCallback, PrinterCallback, TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy
from transformers.utils.logging import disable_progress_bar

from prospect.conversation.sample import Sample
from prospect.data.dataset import Dataset
from prospect.errors import Stopped, UserError
from prospect.models.vlm import VLM
from prospect.training import checkpoints, sharding
from prospect.training.audit import encoded_split, summary
from prospect.training.collate import Collator, Item, collator
from prospect.training.dry_step import dry_step
from prospect.training.losses import Objective
from prospect.training.optimizers import by_part, check_rates, muon_and_adamw
from prospect.training.precision import MIXED, single
from prospect.training.processes import leave_at_exit
from prospect.training.recorder import Recorder, StopOnSignal
from prospect.training.schedule import Phase, Schedule, Sizes
from prospect.training.stored import feature_stores, learnt_tower
from prospect.training.supervised import Score, SupervisedTrainer

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Fit:
    """How training ended."""

    steps: int
    seconds: float  # of all starts of the run


def supervised(
    args: Callable[..., TrainingArguments],
    vlm: VLM,
    data: Dataset,
    loss: Objective,
    folder: Path,
    seed: int,
    score: Score | None = None,
    resume: bool = False,
    optimizer: Literal["adamw", "muon"] = "adamw",
    matrix_learning_rate: float = 0.01,
    learning_rates: dict[str, float] | None = None,
    max_length: int | None = None,
    group_by_length: bool = False,
    tokens_a_batch: int | None = None,
    patience: int | None = None,
    stop_on_nan: bool = True,
) -> Fit:
    def encoded(name: str, samples: list[Sample]) -> list[Item]:
        return encoded_split(vlm, samples, f"{data.name}/{name}", max_length, data.overlap)

    train, val = encoded("train", data.splits["train"]), encoded("val", data.splits["val"])
    warmup = [encoded(phase.name, phase.samples) for phase in data.warmup]
    if not train:
        raise UserError(f"{data.name}: the training split is empty")
    assert not (feature_stores(data) and learnt_tower(vlm)), "freeze_for_features comes first"
    check_rates(vlm.model, learning_rates or {})
    own = {"seed": seed, "use_cpu": vlm.device.type != "cuda", **single(vlm)}
    settings = arguments(args, folder, own, len(train), bool(val))
    sharding.check(settings, vlm, optimizer)
    per_step = settings.train_batch_size * settings.gradient_accumulation_steps * settings.world_size
    schedule = _schedule(train, warmup, data, settings, seed, tokens_a_batch, group_by_length)
    if vlm.device.type == "meta":
        if data.task == "stream":  # with pictures SmolVLM's own class looks at their numbers for padding
            _plan(vlm, loss, schedule[len(schedule) - 1], collator(vlm), settings)
        return Fit(steps=0, seconds=0.0)
    identity = _identity(data, seed, per_step, settings, vlm)
    start = _start(folder, resume, identity)
    stop, recorder = StopOnSignal(), Recorder(folder, len(train) / per_step)
    trainer = SupervisedTrainer(
        vlm=vlm,
        objective=loss,
        collate=collator(vlm, neg_frame_sampling_rate=data.neg_frame_sampling_rate, seed=seed),
        folder=folder,
        identity=identity,
        val=val,
        score=score,
        stop_on_nan=stop_on_nan,
        optimizer=_optimizer(optimizer, settings, matrix_learning_rate, learning_rates or {}),
        args=settings,
        train_dataset=schedule,
        callbacks=[recorder, stop, *_early_stopping(patience)],
    )
    trainer.remove_callback(PrinterCallback)
    leave_at_exit()
    _say(train, vlm, settings)
    disable_progress_bar()  # a bar for every save of the weights would tear the display
    trainer.train(resume_from_checkpoint=str(start) if start else None)
    if stop.stopped:
        raise Stopped(f"stopped after step {trainer.state.global_step}; go on with: python train.py resume={folder}")
    return Fit(trainer.state.global_step, recorder.seconds)


OURS: dict[str, Any] = {
    "report_to": "none",
    "disable_tqdm": True,
    "remove_unused_columns": False,
    "label_names": ["labels"],
    "logging_nan_inf_filter": False,
    "log_level": "warning",
    "dataloader_drop_last": False,
}  # what the run itself decides


def arguments(
    args: Callable[..., TrainingArguments], folder: Path, own: dict[str, Any], samples: int, has_val: bool
) -> TrainingArguments:
    """The user's arguments with what the run itself decides. Epochs become steps: the schedule is one long epoch.

    `own` holds use_cpu: without it, transformers on a machine that has no GPU silently trains every rank for itself.
    """
    given = args.keywords if isinstance(args, functools.partial) else {}
    ours = {**OURS, "output_dir": str(folder), **own}
    if taken := sorted((ours.keys() - MIXED.values()) & given.keys()):
        raise UserError(f"trainer.args.{taken[0]} is decided by the run itself; leave it out")
    if given.get("fsdp") == "true":
        ours["fsdp"] = True  # annotated as text, and nothing but true is right
    settings = args(**ours)
    assert settings.world_size == int(os.environ.get("WORLD_SIZE", "1")), "the ranks do not know of each other"
    settings.dataloader_pin_memory &= torch.cuda.is_available()
    per_step = settings.train_batch_size * settings.gradient_accumulation_steps * settings.world_size
    if settings.max_steps <= 0:
        settings.max_steps = max(1, -(-int(settings.num_train_epochs * samples) // per_step))
    settings.num_train_epochs = 1
    settings.lr_scheduler_kwargs = _shares_to_steps(settings)
    _epochs_to_steps(settings, -(-samples // per_step))
    if not has_val and settings.eval_strategy != "no":
        raise UserError("trainer.args.eval_strategy asks for evaluation, and the val split is empty")
    return settings


def _optimizer(
    kind: Literal["adamw", "muon"], settings: TrainingArguments, matrix_learning_rate: float, rates: dict[str, float]
) -> Callable[[torch.nn.Module, list[str]], torch.optim.Optimizer] | None:
    """How to make the optimizer from a model and the names of what decays; None leaves it to transformers."""
    if kind == "muon":
        return lambda model, decaying: muon_and_adamw(model, settings, matrix_learning_rate, rates)
    return (lambda model, decaying: by_part(model, settings, rates, decaying)) if rates else None


def _schedule(
    train: list[Item],
    warmup: list[list[Item]],
    data: Dataset,
    settings: TrainingArguments,
    seed: int,
    tokens_a_batch: int | None,
    grouped: bool,
) -> Schedule:
    """The warm-up phases for their shares of the steps, then the training split for the rest."""
    batches_a_step = settings.gradient_accumulation_steps * settings.world_size
    sizes = Sizes(settings.train_batch_size, batches_a_step, tokens_a_batch, grouped)
    phases, steps = [], 0.0
    for number, (items, phase) in enumerate(zip(warmup, data.warmup, strict=True), 1):
        steps += phase.share * settings.max_steps
        phases.append((Phase(items, sizes, seed, number), round(steps) * batches_a_step))
    return Schedule([*phases, (Phase(train, sizes, seed, 0, data.balanced), settings.max_steps * batches_a_step)])


def _shares_to_steps(settings: TrainingArguments) -> dict[str, Any]:
    """A schedule's numbers of steps may be given as shares of the run, as warmup_steps may."""
    given = dict(cast(Any, settings.lr_scheduler_kwargs) or {})
    shares = {key: value for key, value in given.items() if key.endswith("_steps") and 0 < value < 1}
    return given | {key: round(share * settings.max_steps) for key, share in shares.items()}


def _epochs_to_steps(settings: TrainingArguments, epoch: int) -> None:
    if settings.eval_strategy == "epoch":
        settings.eval_strategy, settings.eval_steps = IntervalStrategy.STEPS, epoch
    if settings.save_strategy == "epoch":
        settings.save_strategy, settings.save_steps = SaveStrategy.STEPS, epoch
    if settings.logging_strategy == "epoch":
        settings.logging_strategy, settings.logging_steps = IntervalStrategy.STEPS, epoch


def _plan(vlm: VLM, loss: Objective, items: list[Item], collate: Collator, settings: TrainingArguments) -> None:
    """Shapes have no numbers to train: one step is gone through and counted."""
    cost = dry_step(vlm, collate, loss, items)
    log.info(
        "a micro-batch of %s samples (%s tokens, %s frames) takes %.1f TFLOP "
        "forward and backward, %s of them a step; weights, gradients and AdamW's state take %.1f GB",
        cost.samples,
        f"{cost.tokens:,}",
        f"{cost.frames:,}",
        cost.flops / 1e12,
        settings.gradient_accumulation_steps * settings.world_size,
        cost.bytes_ / 1e9,
    )


def _identity(data: Dataset, seed: int, per_step: int, settings: TrainingArguments, vlm: VLM) -> dict[str, Any]:
    """What must not change between a checkpoint and its resumption."""
    return {
        "data": data.fingerprint,
        "seed": seed,
        "batch": per_step,
        "accumulation": settings.gradient_accumulation_steps,
        "world_size": settings.world_size,
        "sharded": bool(settings.fsdp),
        "parameters": sum(p.numel() for p in vlm.model.parameters() if p.requires_grad),
    }


def _start(folder: Path, resume: bool, identity: dict[str, Any]) -> Path | None:
    if not resume:
        return None
    start = checkpoints.to_resume(folder, log.warning)
    if start is None:
        log.warning("%s has no complete checkpoint: training starts again at step 0", folder)
        return None
    if not any(start.glob("optimizer*")):
        raise UserError(f"{start} holds the model alone (trainer.args.save_only_model), so it cannot be resumed from")
    checkpoints.check_identity(start, identity)
    log.info("resuming from %s", start)
    return start


def _early_stopping(patience: int | None) -> list[EarlyStoppingCallback]:
    return [] if patience is None else [EarlyStoppingCallback(early_stopping_patience=patience)]


def _say(train: list[Item], vlm: VLM, settings: TrainingArguments) -> None:
    numbers = summary(train)
    log.info(
        "learning %s of %s tokens of %s samples (longest %s), %s of %s parameters, %s steps on %s",
        f"{numbers.learnt:,}",
        f"{numbers.tokens:,}",
        f"{numbers.samples:,}",
        f"{numbers.longest:,}",
        f"{sum(p.numel() for p in vlm.model.parameters() if p.requires_grad):,}",
        f"{sum(p.numel() for p in vlm.model.parameters()):,}",
        f"{settings.max_steps:,}",
        torch.device(settings.device),
    )
