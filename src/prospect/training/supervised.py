"""Supervised training on transformers' Trainer, with exact normalisation of every loss term."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import SequentialSampler
from transformers import Trainer

from prospect.models.vlm import VLM
from prospect.training import saving, sharding
from prospect.training.collate import TARGETS, Collator, Item, Unwrapped
from prospect.training.losses import Objective
from prospect.training.processes import summed
from prospect.training.schedule import Schedule
from prospect.training.teacher_forced import TeacherForced, teacher_forced

Score = Callable[[TeacherForced], dict[str, float]]


class NonFiniteLoss(ArithmeticError):
    """Training on would only poison the checkpoints."""


class SupervisedTrainer(Trainer):
    """Divides every term by its count over the whole optimizer step: all micro-batches, all ranks."""

    loss_is_scaled_for_ga = True  # compute_loss already divides by global counts
    objective: Objective
    collate: Collator
    window: dict[str, Tensor]  # Σ over the steps since the last log of each term's value, this rank's part
    steps_of: Counter[str]  # in how many of these steps there was anything of the term

    def __init__(
        self,
        vlm: VLM,
        objective: Objective,
        collate: Collator,
        folder: Path,
        identity: dict[str, Any],
        val: Sequence[Item],
        score: Score | None,
        stop_on_nan: bool,
        optimizer: Callable[[torch.nn.Module, list[str]], torch.optim.Optimizer] | None,
        **trainer: Any,
    ):
        super().__init__(model=vlm.model, eval_dataset=val, data_collator=Unwrapped(collate), **trainer)
        self.vlm = vlm
        self.objective = objective
        self.collate = collate
        self.folder = folder
        self.identity = identity
        self.val = val
        self.score = score
        self.stop_on_nan = stop_on_nan
        self.make_optimizer = optimizer
        self.window = {}
        self.steps_of = Counter()

    # --- the loss -------------------------------------------------------------------------------------------------

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> Any:
        """What each piece of the loss is divided by: counts over all micro-batches and ranks of this optimizer step."""
        per_batch = [self.objective.counts(batch) for batch in batch_samples]
        local = torch.stack([torch.stack(list(counts.values())) for counts in per_batch]).sum(dim=0)
        counts = dict(zip(per_batch[0], summed(local.to(device)), strict=True))
        self.steps_of.update({self.objective.pieces[name].term for name, count in counts.items() if count})
        return counts

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        counts = num_items_in_batch
        outputs = model(**{key: value for key, value in inputs.items() if key not in TARGETS}, use_cache=False)
        sums = {name: (sum_, counts[name]) for name, (sum_, _) in self.objective(outputs, inputs).items()}
        terms = self.objective.terms(sums)
        loss = self.objective.total(terms)
        if self.stop_on_nan and not torch.isfinite(loss):
            ids = ", ".join(inputs["sample_ids"])
            raise NonFiniteLoss(f"the loss is {loss.item()} at step {self.state.global_step + 1}; samples: {ids}")
        for name, value in terms.items():
            self.window[name] = self.window.get(name, torch.zeros_like(value)) + value.detach()
        loss = loss * self.args.world_size  # DDP and FSDP average the gradients of the ranks
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add every term to the training log: its mean over the steps since the last one that had any of it."""
        if "loss" in logs and self.window:
            values = zip(self.window, summed(torch.stack(list(self.window.values()))), strict=True)
            logs |= {
                f"loss_{name}": value.item() / self.steps_of[name] for name, value in values if self.steps_of[name]
            }
            self.window, self.steps_of = {}, Counter()
        super().log(logs, start_time)

    # --- data: the schedule fixes the order and cuts the micro-batches, so the loader only counts --------------------

    def get_train_dataloader(self):
        assert isinstance(self.train_dataset, Schedule)
        return self._get_dataloader(
            self.train_dataset, "Training", batch_size=1, sampler_fn=cast(Any, SequentialSampler), is_training=True
        )

    # --- evaluation -------------------------------------------------------------------------------------------------

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix: str = "eval") -> dict[str, float]:
        """Teacher-forced terms, weighted by count over the whole split, and the task's own score."""
        size = self.args.per_device_eval_batch_size
        seen = teacher_forced(self.vlm.model, self.collate, self.objective, self.val, size)
        metrics = seen.metrics()
        if self.score is not None:
            metrics |= self.score(seen)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    # --- optimizer and checkpoints ----------------------------------------------------------------------------------

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        if self.optimizer is None and self.make_optimizer is not None:
            self.optimizer = self.make_optimizer(self.vlm.model, self.get_decay_parameter_names(self.vlm.model))
        return super().create_optimizer(model)

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        if self.is_fsdp_enabled:
            sharding.reduce_in_float32(self.accelerator)

    def _prepare_for_training(self, *args: Any, **kwargs: Any) -> Any:
        prepared = super()._prepare_for_training(*args, **kwargs)
        if self.args.fsdp:
            sharding.check_sharded(self.vlm.model)
        return prepared

    def _save_checkpoint(self, model, trial) -> None:
        saving.save(self, self.vlm, self.folder, self.identity, self._save_window)

    def _save_window(self, folder: Path) -> None:
        """Losses since the last log, so that the first line after a resume is the one that would have been written."""
        terms = {"terms": self.window, "steps": dict(self.steps_of)}
        window = {"loss": self._tr_loss, "start": self._globalstep_last_logged, **terms}
        torch.save(window, folder / f"window_{self.args.process_index}.pt")

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Called once, where a resumed run takes its first step."""
        super()._load_rng_state(checkpoint)
        if checkpoint is not None:
            path = Path(checkpoint) / f"window_{self.args.process_index}.pt"
            # By way of the plain CPU: torch cannot load onto "cpu:0", the device of one of several processes.
            saved = torch.load(path, weights_only=True, map_location="cpu")
            self._tr_loss += saved["loss"].to(self.args.device)  # in place: the training loop holds this very tensor
            self.window = {name: value.to(self.args.device) for name, value in saved["terms"].items()}
            self.steps_of.update(saved["steps"])  # the step that begins is already counted
            self._globalstep_last_logged = saved["start"]
