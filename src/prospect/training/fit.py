"""`conf/trainer/supervised.yaml`: audit the labels, lay out the run, train, say how it ended."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import EarlyStoppingCallback, PrinterCallback, TrainingArguments
from transformers.utils.logging import disable_progress_bar

from prospect.conversation.sample import Sample
from prospect.data.dataset import Dataset
from prospect.errors import Stopped
from prospect.models.vlm import VLM
from prospect.training import checkpoints, sharding
from prospect.training.arguments import arguments
from prospect.training.audit import encoded_split, summary
from prospect.training.collate import Collator, Item, collator, company
from prospect.training.dry_step import dry_step
from prospect.training.losses import Objective
from prospect.training.optimizers import by_part, muon_and_adamw, rates_of
from prospect.training.precision import single
from prospect.training.preferred import Reference
from prospect.training.processes import leave_at_exit
from prospect.training.recorder import Recorder, StopOnSignal
from prospect.training.schedule import Phase, Schedule, Sizes
from prospect.training.stored import feature_stores, learnt_tower
from prospect.training.suited import suited
from prospect.training.supervised import Score, SupervisedTrainer

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Fit:
    """How training ended."""

    steps: int
    seconds: float  # of all starts of the run
    reference: Reference | None = None  # what was trained against, where that is another model


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
    suited("supervised", data)

    def encoded(name: str, samples: list[Sample]) -> list[Item]:
        return encoded_split(vlm, samples, f"{data.name}/{name}", max_length, data.overlap)

    train, val = encoded("train", data.splits["train"]), encoded("val", data.splits["val"])
    warmup = [encoded(phase.name, phase.samples) for phase in data.warmup]
    assert not (feature_stores(data) and learnt_tower(vlm)), "freeze_for_features comes first"
    rates = rates_of(vlm.model, learning_rates or {})
    own = {"seed": seed, "use_cpu": vlm.device.type != "cuda", **single(vlm), **sharding.layers(args, vlm)}
    settings = arguments(args, folder, own, len(train), bool(val))
    sharding.check(settings, vlm, optimizer)
    batches_a_step = settings.gradient_accumulation_steps * settings.world_size
    sizes = Sizes(settings.train_batch_size, batches_a_step, tokens_a_batch, group_by_length)
    schedule = schedule_of(train, warmup, data, sizes, settings.max_steps, seed)
    if vlm.device.type == "meta":
        if data.task == "stream" and vlm.family.by_shapes:  # SmolVLM's own class looks at numbers of pictures only
            _plan(vlm, loss, schedule[len(schedule) - 1], collator(vlm), sizes)
        else:
            log.info("no step is counted: this model's class looks at numbers of pictures, and meta has none")
        return Fit(steps=0, seconds=0.0)
    identity = identity_of(data, seed, sizes, settings, vlm)
    start = checkpoints.start(folder, resume, identity)
    stop, recorder = StopOnSignal(), Recorder(folder, len(train) / sizes.step)
    trainer = SupervisedTrainer(
        vlm=vlm,
        objective=loss,
        collate=collator(
            vlm,
            neg_frame_sampling_rate=data.neg_frame_sampling_rate,
            seed=seed,
            blank=company(vlm, chain(train, val, *warmup)),
        ),
        folder=folder,
        identity=identity,
        val=val,
        score=score,
        stop_on_nan=stop_on_nan,
        optimizer=optimizer_of(optimizer, settings, matrix_learning_rate, rates),
        args=settings,
        train_dataset=schedule,
        callbacks=[recorder, stop, *early_stopping(patience)],
    )
    trainer.remove_callback(PrinterCallback)
    leave_at_exit()
    _say(train, vlm, settings)
    disable_progress_bar()  # a bar for every save of the weights would tear the display
    trainer.train(resume_from_checkpoint=str(start) if start else None)
    if stop.stopped:
        raise Stopped(f"stopped after step {trainer.state.global_step}; go on with: python train.py resume={folder}")
    return Fit(trainer.state.global_step, recorder.seconds)


def optimizer_of(
    kind: Literal["adamw", "muon"], settings: TrainingArguments, matrix_learning_rate: float, rates: dict[str, float]
) -> Callable[[torch.nn.Module, list[str]], torch.optim.Optimizer] | None:
    """How to make the optimizer from a model and the names of what decays; None leaves it to transformers."""
    if kind == "muon":
        return lambda model, decaying: muon_and_adamw(model, settings, matrix_learning_rate, rates)
    return (lambda model, decaying: by_part(model, settings, rates, decaying)) if rates else None


def schedule_of(
    train: list[Item], warmup: list[list[Item]], data: Dataset, sizes: Sizes, max_steps: int, seed: int
) -> Schedule:
    """The warm-up phases for their shares of the steps, then the training split for the rest."""
    phases, steps = [], 0.0
    for number, (items, phase) in enumerate(zip(warmup, data.warmup, strict=True), 1):
        steps += phase.share * max_steps
        phases.append((Phase(items, sizes, seed, number), round(steps) * sizes.batches_a_step))
    return Schedule([*phases, (Phase(train, sizes, seed, 0, data.balanced), max_steps * sizes.batches_a_step)])


def _plan(vlm: VLM, loss: Objective, items: list[Item], collate: Collator, sizes: Sizes) -> None:
    """Shapes have no numbers to train: one step is gone through and counted."""
    cost = dry_step(vlm, collate, loss, items)
    log.info(
        "a micro-batch of %s samples (%s tokens, %s frames) takes %.1f TFLOP "
        "forward and backward, %s of them a step; weights, gradients and AdamW's state take %.1f GB",
        cost.samples,
        f"{cost.tokens:,}",
        f"{cost.frames:,}",
        cost.flops / 1e12,
        sizes.batches_a_step,
        cost.bytes_ / 1e9,
    )


def identity_of(data: Dataset, seed: int, sizes: Sizes, settings: TrainingArguments, vlm: VLM) -> dict[str, Any]:
    """What must not change between a checkpoint and its resumption."""
    return {
        "data": data.fingerprint,
        "seed": seed,
        "batch": sizes.step,
        "accumulation": settings.gradient_accumulation_steps,
        "world_size": settings.world_size,
        "sharded": bool(settings.fsdp),
        "parameters": sum(p.numel() for p in vlm.model.parameters() if p.requires_grad),
    }


def early_stopping(patience: int | None) -> list[EarlyStoppingCallback]:
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
