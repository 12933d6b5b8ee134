"""`conf/trainer/dpo.yaml`: audit the pairs, lay out the run, train on TRL's DPOTrainer, say how it ended."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PrinterCallback
from transformers.utils.logging import disable_progress_bar
from trl import DPOConfig

from prospect.conversation.sample import Sample
from prospect.data.dataset import Dataset
from prospect.errors import Stopped, UserError
from prospect.models.reference import reference
from prospect.models.vlm import VLM
from prospect.training import checkpoints
from prospect.training.arguments import arguments
from prospect.training.collate import Item, collator
from prospect.training.fit import Fit, early_stopping, identity_of, optimizer_of
from prospect.training.losses import Objective
from prospect.training.optimizers import rates_of
from prospect.training.precision import single
from prospect.training.preference_trainer import PreferenceTrainer
from prospect.training.preferred import Reference, encoded_pairs
from prospect.training.processes import leave_at_exit
from prospect.training.recorder import Recorder, StopOnSignal
from prospect.training.schedule import Phase, Schedule, Sizes
from prospect.training.suited import suited
from prospect.training.supervised import Score

log = logging.getLogger(__name__)

LOSSES = (
    *("sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired"),
    *("apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm"),
)
REFUSED = {  # argument of TRL → why
    "precompute_ref_log_probs": "the reference shares what is not trained and is asked as training goes on",
    "padding_free": "TRL itself has switched it off",
    "fsdp": "the reference would have to be spread as well",
    "max_length": "nothing is cut off here; the longest conversation is trainer.max_length",
}


def dpo(
    args: Callable[..., DPOConfig],
    vlm: VLM,
    data: Dataset,
    folder: Path,
    seed: int,
    loss: Objective | None = None,
    score: Score | None = None,
    resume: bool = False,
    optimizer: Literal["adamw", "muon"] = "adamw",
    matrix_learning_rate: float = 0.01,
    learning_rates: dict[str, float] | None = None,
    max_length: int | None = None,
    group_by_length: bool = False,
    patience: int | None = None,
    stop_on_nan: bool = True,
) -> Fit:
    """`loss` and `score` are for supervised training: the loss is TRL's, and val is scored by what is preferred."""
    suited("dpo", data)
    _check(args)

    def encoded(name: str) -> list[Item]:
        samples: list[Sample] = data.splits[name]
        return encoded_pairs(vlm, samples, f"{data.name}/{name}", max_length)

    train, val = encoded("train"), encoded("val")
    rates = rates_of(vlm.model, learning_rates or {})
    own = {"seed": seed, "use_cpu": vlm.device.type != "cuda", "max_length": None, **single(vlm), **_ranks(train)}
    settings = _arguments(args, folder, own, len(train), bool(val))
    if vlm.device.type == "meta":
        return Fit(steps=0, seconds=0.0)
    per_step = settings.gradient_accumulation_steps * settings.world_size
    sizes = Sizes(settings.train_batch_size, per_step, grouped=group_by_length)
    identity = identity_of(data, seed, sizes, settings, vlm)
    start = checkpoints.start(folder, resume, identity)
    before = Reference(reference(vlm), settings.beta)
    stop, recorder = StopOnSignal(), Recorder(folder, len(train) / sizes.step)
    trainer = PreferenceTrainer(
        vlm=vlm,
        reference=before,
        collate=collator(vlm),
        schedule=Schedule([(Phase(train, sizes, seed), settings.max_steps * per_step)]),
        val=val,
        folder=folder,
        identity=identity,
        stop_on_nan=stop_on_nan,
        optimizer=optimizer_of(optimizer, settings, matrix_learning_rate, rates),
        args=settings,
        callbacks=[recorder, stop, *early_stopping(patience)],
    )
    trainer.remove_callback(PrinterCallback)
    leave_at_exit()
    _say(train, vlm, settings)
    disable_progress_bar()  # a bar for every save of the weights would tear the display
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TRL asks the model by names that are on their way out
        trainer.train(resume_from_checkpoint=str(start) if start else None)
    for model in (vlm.bare, before.vlm.bare):
        vars(model).pop("forward", None)  # TRL's, with a fused head: a copy of the model would go on using this one
    if stop.stopped:
        raise Stopped(f"stopped after step {trainer.state.global_step}; go on with: python train.py resume={folder}")
    return Fit(trainer.state.global_step, recorder.seconds, before)


def _check(args: Callable[..., DPOConfig]) -> None:
    given = args.keywords if isinstance(args, functools.partial) else {}
    for name, why in REFUSED.items():
        if given.get(name):
            raise UserError(f"trainer.args.{name} is not for trainer=dpo: {why}; leave it out")
    _check_losses(given.get("loss_type", ["sigmoid"]), given.get("loss_weights"))
    _check_numbers(given.get("loss_type", ["sigmoid"]), given.get("beta", 0.1), given.get("label_smoothing", 0.0))


def _check_losses(kinds: list[str], weights: list[float] | None) -> None:
    """TRL would find these out at its first step, after all has been loaded."""
    if unknown := [kind for kind in kinds if kind not in LOSSES]:
        raise UserError(f"trainer.args.loss_type={unknown[0]}: TRL has {', '.join(LOSSES)}")
    if not kinds or (weights is not None and len(weights) != len(kinds)):
        raise UserError(f"trainer.args.loss_weights has {len(weights or [])} weights for {len(kinds)} losses")


def _check_numbers(kinds: list[str], beta: float, smoothing: float) -> None:
    if beta <= 0:
        raise UserError(f"trainer.args.beta={beta}: must be above 0")
    if not 0 <= smoothing < 0.5:
        raise UserError(f"trainer.args.label_smoothing={smoothing}: must be at least 0 and below 0.5")
    if "exo_pair" in kinds and smoothing == 0:
        raise UserError("trainer.args.label_smoothing must be above 0 for exo_pair; its paper takes 1e-3")


def _ranks(train: list[Item]) -> dict[str, Any]:
    """A micro-batch of words alone leaves the vision tower without gradients, and other ranks would wait for them."""
    some = {bool(item.sample.pictures) for item in train}
    return {"ddp_find_unused_parameters": True} if False in some else {}


def _arguments(
    args: Callable[..., DPOConfig], folder: Path, own: dict[str, Any], samples: int, has_val: bool
) -> DPOConfig:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TRL's own default goes by a name that is on its way out
        settings = arguments(args, folder, own, samples, has_val)
    assert isinstance(settings, DPOConfig)
    return settings


def _say(train: list[Item], vlm: VLM, settings: DPOConfig) -> None:
    log.info(
        "learning from %s pairs by %s (beta %g), %s of %s parameters, %s steps on %s",
        f"{len(train):,}",
        " + ".join(settings.loss_type),
        settings.beta,
        f"{sum(p.numel() for p in vlm.model.parameters() if p.requires_grad):,}",
        f"{sum(p.numel() for p in vlm.model.parameters()):,}",
        f"{settings.max_steps:,}",
        torch.device(settings.device),
    )
