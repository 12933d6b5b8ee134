"""`conf/trainer/grpo.yaml`: check every prompt, lay out the run, let TRL's GRPOTrainer train, say how it ended."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import datasets
import torch
from rich.console import Console
from transformers import PrinterCallback
from transformers.utils.logging import disable_progress_bar
from trl import GRPOConfig

from prospect.data.dataset import Dataset
from prospect.errors import Stopped, UserError
from prospect.models.vlm import VLM
from prospect.training import checkpoints, gpu, policy_rows
from prospect.training.arguments import arguments
from prospect.training.completions import Completions
from prospect.training.fit import Fit, optimizer_of
from prospect.training.optimizers import rates_of
from prospect.training.policy_trainer import PolicyTrainer, Reward
from prospect.training.precision import MIXED, single
from prospect.training.processes import leave_at_exit
from prospect.training.recorder import Recorder, StopOnSignal
from prospect.training.suited import suited

log = logging.getLogger(__name__)

TRL_GENERATIONS = 8  # TRL's own default
FORBIDDEN = -100.0  # vLLM's own bound of a bias


class Rewards(Protocol):
    """What a policy learns from: functions as TRL calls them, and the weight of each."""

    @property
    def functions(self) -> Sequence[Reward]: ...
    @property
    def weights(self) -> Sequence[float]: ...
    def facts(self) -> dict[str, Any]: ...


def grpo(
    args: Callable[..., GRPOConfig],
    vlm: VLM,
    data: Dataset,
    rewards: Rewards,
    folder: Path,
    seed: int,
    generation: Mapping[str, Any] | None = None,
    score: Callable[[], dict[str, float]] | None = None,
    resume: bool = False,
    optimizer: Literal["adamw", "muon"] = "adamw",
    matrix_learning_rate: float = 0.01,
    learning_rates: dict[str, float] | None = None,
    max_prompt_length: int | None = None,
) -> Fit:
    """`generation`: arguments of GRPOConfig, of conf/generation. `score`: the numbers of an evaluation of val."""
    suited("grpo", data)
    settings = _settings(args, vlm, data, rewards, folder, seed, dict(generation or {}), score is not None)
    for name in ("train", "val"):
        lengths = policy_rows.check(
            vlm, data.splits[name], f"{data.name}/{name}", max_prompt_length, settings.max_completion_length or 0
        )
        if lengths:
            log.info("%s: %s prompts of %s to %s tokens", name, f"{len(lengths):,}", min(lengths), max(lengths))
    if vlm.device.type == "meta":
        return Fit(steps=0, seconds=0.0)
    identity = _identity(data, rewards, settings, vlm, seed)
    start = checkpoints.start(folder, resume, identity)
    stop, recorder = StopOnSignal(), Recorder(folder, _epoch(settings, len(data.splits["train"])))
    completions = Completions(folder, lambda: _screen(recorder))
    completions.begin(int(start.name.removeprefix("step-")) if start else 0)
    gpu.report(vlm)
    gpu.free()
    trainer = PolicyTrainer(
        vlm,
        rewards.functions,
        folder,
        identity,
        completions,
        tagged=data.answer_format == "think",
        score=score,
        optimizer=optimizer_of(optimizer, settings, matrix_learning_rate, rates_of(vlm.model, learning_rates or {})),
        args=settings,
        train_dataset=_train_rows(data, settings, seed),
        eval_dataset=policy_rows.rows(data.splits["val"], range(len(data.splits["val"]))),
        callbacks=[recorder, stop],
    )
    trainer.remove_callback(PrinterCallback)
    leave_at_exit()
    _say(vlm, settings)
    disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TRL asks the model by a name that is on its way out
        trainer.train(resume_from_checkpoint=str(start) if start else None)
    log.info("%s", completions.told())
    if stop.stopped:
        raise Stopped(f"stopped after step {trainer.state.global_step}; go on with: python train.py resume={folder}")
    steps = trainer.state.global_step
    del trainer  # with its reference and its buffers
    gpu.free()
    return Fit(steps, recorder.seconds)


def _settings(
    args: Callable[..., GRPOConfig],
    vlm: VLM,
    data: Dataset,
    rewards: Rewards,
    folder: Path,
    seed: int,
    generation: dict[str, Any],
    has_score: bool,
) -> GRPOConfig:
    assert isinstance(args, functools.partial), "conf/trainer/grpo.yaml leaves the rest to us"
    given = dict(args.keywords)
    if given.get("sync_ref_model"):
        raise UserError("trainer.args.sync_ref_model: a reference that moves is in no checkpoint; leave it out")
    sampling = given.pop("generation_kwargs", None) or {}
    own = {
        "seed": seed,
        "use_cpu": vlm.device.type != "cuda",
        **{kind: given.get(kind, False) for kind in MIXED.values()},  # TRL's own default is bf16, on a CPU as well
        **single(vlm),
        "reward_weights": list(rewards.weights),
        "shuffle_dataset": False,  # the order of the rows is drawn from the seed already
        "log_completions": False,  # completions.jsonl has them
        "num_generations_eval": 1,  # evaluation is ours, and TRL would ask for groups in its batches
        "generation_kwargs": forbidding(vlm, sampling, generation.get("use_vllm", False)),
        **generation,
    }
    epoch = len(data.splits["train"]) * given.get("num_generations", TRL_GENERATIONS) * given.get("num_iterations", 1)
    has_val = bool(data.splits["val"]) and has_score
    try:
        settings = arguments(functools.partial(args.func, **given), folder, own, epoch, has_val)
    except UserError:
        raise
    except ValueError as error:  # TRL's own checks of its arguments
        raise UserError(f"trainer.args: {error}") from error
    assert isinstance(settings, GRPOConfig)
    return settings


def forbidding(vlm: VLM, given: Mapping[str, Any], vllm: bool) -> dict[str, Any]:
    """The user's own generation arguments, and that no picture and no special token but the end is ever sampled."""
    banned = special_tokens(vlm)
    if vllm:
        return {**given, "logit_bias": {**given.get("logit_bias", {}), **dict.fromkeys(banned, FORBIDDEN)}}
    return {**given, "suppress_tokens": sorted({*banned, *(given.get("suppress_tokens") or [])})}


def special_tokens(vlm: VLM) -> list[int]:
    """All but the one that ends a turn, and what the vocabulary of the model has beyond the tokenizer's."""
    known = {number for number, token in vlm.tokenizer.added_tokens_decoder.items() if token.special}
    known |= {vlm.image_token_id, *range(len(vlm.tokenizer), vlm.model.config.text_config.vocab_size)}
    return sorted(known - {vlm.bare.generation_config.eos_token_id})


def _train_rows(data: Dataset, settings: GRPOConfig, seed: int) -> datasets.Dataset:
    """As many prompts as all steps ask for: TRL then goes through them once, group by group."""
    assert settings.generation_batch_size is not None
    assert settings.steps_per_generation is not None
    generations = settings.max_steps * settings.gradient_accumulation_steps
    generations = -(-generations // (settings.steps_per_generation * settings.num_iterations))
    wanted = generations * (settings.generation_batch_size // _group(settings))
    samples = data.splits["train"]
    return policy_rows.rows(samples, policy_rows.order(len(samples), wanted, seed))


def _group(settings: GRPOConfig) -> int:
    assert settings.num_generations is not None
    return settings.num_generations


def _epoch(settings: GRPOConfig, samples: int) -> float:
    """Steps in which every prompt is asked once."""
    step = settings.train_batch_size * settings.gradient_accumulation_steps * settings.world_size
    return samples * _group(settings) * settings.num_iterations / step


def _identity(data: Dataset, rewards: Rewards, settings: GRPOConfig, vlm: VLM, seed: int) -> dict[str, Any]:
    """What must not change between a checkpoint and its resumption."""
    return {
        "data": data.fingerprint,
        "seed": seed,
        "rewards": rewards.facts(),
        "batch": settings.train_batch_size,
        "accumulation": settings.gradient_accumulation_steps,
        "generation": [settings.generation_batch_size, settings.num_generations, settings.num_iterations],
        "world_size": settings.world_size,
        "parameters": sum(p.numel() for p in vlm.model.parameters() if p.requires_grad),
    }


def _screen(recorder: Recorder) -> Console | None:
    """The terminal that shows the bar; panels stand above it."""
    bar = recorder.display and recorder.display.bar
    return bar.console if bar else None


def _say(vlm: VLM, settings: GRPOConfig) -> None:
    log.info(
        "%s completions to each of %s prompts a generation, loss %s, beta %g, %s of %s parameters, %s steps on %s",
        settings.num_generations,
        (settings.generation_batch_size or 0) // _group(settings),
        settings.loss_type,
        settings.beta,
        f"{sum(p.numel() for p in vlm.model.parameters() if p.requires_grad):,}",
        f"{sum(p.numel() for p in vlm.model.parameters()):,}",
        f"{settings.max_steps:,}",
        torch.device(settings.device),
    )
