"""TRL's DPOTrainer on our tokens, pictures and order of samples, with our reference and our checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import datasets
import numpy as np
import torch
from torch.utils.data import SequentialSampler
from trl import DPOConfig, DPOTrainer

from prospect.models.vlm import VLM
from prospect.training import saving
from prospect.training.collate import TARGETS, Collator, Item
from prospect.training.preferred import Preferred, Reference, both, preferred
from prospect.training.schedule import Schedule
from prospect.training.supervised import NonFiniteLoss

NOT_FOR_THE_MODEL = {*TARGETS, "logits_to_keep"} - {"sample_ids"}


class Pairs:
    """A micro-batch as TRL's loss takes it: chosen rows, then rejected ones, and where their answers are."""

    def __init__(self, collate: Collator) -> None:
        self.collate = collate

    def __call__(self, batches: Sequence[Sequence[Item]]) -> dict[str, Any]:
        (items,) = batches
        batch = self.collate(both(items))
        answers = (batch["channels"] > 0).long()
        inputs = {key: value for key, value in batch.items() if key not in NOT_FOR_THE_MODEL}
        return inputs | {"completion_mask": answers}


class PreferenceTrainer(DPOTrainer):
    def __init__(
        self,
        vlm: VLM,
        reference: Reference,
        collate: Collator,
        schedule: Schedule,
        val: Sequence[Item],
        folder: Path,
        identity: dict[str, Any],
        stop_on_nan: bool,
        optimizer: Callable[[torch.nn.Module, list[str]], torch.optim.Optimizer] | None,
        args: DPOConfig,
        **trainer: Any,
    ):
        super().__init__(
            vlm.model,
            reference.vlm.model,  # else TRL reads it from _name_or_path, which may be other weights or none
            args,
            data_collator=Pairs(collate),
            train_dataset=datasets.Dataset.from_dict({"pair": [0]}),  # TRL takes nothing else; the schedule follows
            eval_dataset=None if args.eval_strategy == "no" else datasets.Dataset.from_dict({"pair": [0]}),
            processing_class=vlm.tokenizer,
            **trainer,
        )
        self.train_dataset = schedule
        self.vlm = vlm
        self.reference = reference
        self.val = val
        self.folder = folder
        self.identity = identity
        self.stop_on_nan = stop_on_nan
        self.make_optimizer = optimizer
        self.moving = args.sync_ref_model  # the reference follows the policy
        self.before: np.ndarray | None = None  # the reference's part of the val split

    def _prepare_dataset(self, dataset, processing_class, args, dataset_name):
        """Every pair is encoded already, by the code that all training goes through."""
        return dataset

    def _send_telemetry(self) -> None:
        """Nobody is told of a run."""

    # --- the loss is TRL's ------------------------------------------------------------------------------------------

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        ids = inputs.pop("sample_ids")
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if self.stop_on_nan and not torch.isfinite(loss):
            told = ", ".join(ids[: len(ids) // 2])
            raise NonFiniteLoss(f"the loss is {loss.item()} at step {self.state.global_step + 1}; samples: {told}")
        return loss

    # --- data: the schedule fixes the order and cuts the micro-batches, so the loader only counts --------------------

    def get_train_dataloader(self):
        return self._get_dataloader(
            cast(Any, self.train_dataset),
            "Training",
            batch_size=1,
            sampler_fn=cast(Any, SequentialSampler),
            is_training=True,
        )

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        if self.optimizer is None and self.make_optimizer is not None:
            self.optimizer = self.make_optimizer(self.vlm.model, self.get_decay_parameter_names(self.vlm.model))
        return super().create_optimizer(model)

    # --- evaluation -------------------------------------------------------------------------------------------------

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix: str = "eval") -> dict[str, float]:
        """The loss and the preferences over the whole val split; TRL's own numbers are means over uneven batches."""
        size = self.args.per_device_eval_batch_size
        if self.before is None or self.moving:
            self.before = preferred(self.reference.vlm, self.val, size)
        seen = Preferred(preferred(self.vlm, self.val, size), self.before, self.beta)
        metrics = {"loss": self._val_loss(size)} | seen.means()
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        self.vlm.model.eval()  # by this TRL knows whose numbers it is to log
        self._metrics["eval"].clear()
        self.log(dict(metrics))
        self.vlm.model.train()
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    @torch.no_grad()
    def _val_loss(self, size: int) -> float:
        self.vlm.model.eval()
        sums = 0.0
        for start in range(0, len(self.val), size):
            part = self.val[start : start + size]
            inputs = self._prepare_inputs(cast(Any, self.data_collator)([part]))
            with self.compute_loss_context_manager():
                sums += self.compute_loss(self.model, inputs).item() * len(part)
        self.vlm.model.train()
        return sums / len(self.val)

    # --- checkpoints ------------------------------------------------------------------------------------------------

    def _save_checkpoint(self, model, trial) -> None:
        saving.save(self, self.vlm, self.folder, self.identity, self._save_window)

    def _save_window(self, folder: Path) -> None:
        """What the next line of the log will hold, so that a resumed run writes the same one."""
        window = {
            "loss": self._tr_loss,
            "start": self._globalstep_last_logged,
            "metrics": dict(self._metrics["train"]),
            "tokens": self._total_train_tokens,
        }
        torch.save(window, folder / f"window_{self.args.process_index}.pt")

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Called once, where a resumed run takes its first step."""
        super()._load_rng_state(checkpoint)
        if checkpoint is not None:
            path = Path(checkpoint) / f"window_{self.args.process_index}.pt"
            saved = torch.load(path, weights_only=True, map_location="cpu")
            self._tr_loss += saved["loss"].to(self.args.device)  # in place: the training loop holds this very tensor
            self._globalstep_last_logged = saved["start"]
            self._metrics["train"].update(saved["metrics"])
            self._total_train_tokens = saved["tokens"]
