"""The arguments of transformers' Trainer: the user's, with what the run itself decides."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from prospect.errors import UserError
from prospect.training.precision import MIXED

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
    if taken := sorted((ours.keys() - {*MIXED.values(), "fsdp_config"}) & given.keys()):
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
        raise UserError(
            "trainer.args.eval_strategy asks for evaluation, and the val split is empty: give it samples, or set "
            "trainer.args.eval_strategy=no (thresholds of decisions are then one half)"
        )
    return settings


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
