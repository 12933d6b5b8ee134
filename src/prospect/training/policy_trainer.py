"""TRL's GRPOTrainer with our processor, our reference, our checkpoints and our account of what was said and earned."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import Sampler
from transformers import Trainer
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import add_fused_lm_head

from prospect.conversation.tags import well_formed
from prospect.models.vlm import VLM
from prospect.training import saving
from prospect.training.completions import Completion, Completions
from prospect.training.policy_rows import asked_in
from prospect.training.supervised import NonFiniteLoss
from prospect.training.trl_processor import TRLProcessor

Reward = Callable[..., list[float | None]]

# TRL writes a row that got no reward into the log, all of it; we count such rows.
logging.getLogger("trl.trainer.grpo_trainer").addFilter(lambda record: "returned None for" not in record.getMessage())


class PolicyTrainer(GRPOTrainer):
    """`score` gives the numbers of an evaluation: TRL would sample where we answer greedily, as at the end of a run."""

    def __init__(
        self,
        vlm: VLM,
        rewards: Sequence[Reward],
        folder: Path,
        identity: dict[str, Any],
        completions: Completions,
        tagged: bool,
        score: Callable[[], dict[str, float]] | None,
        optimizer: Callable[[torch.nn.Module, list[str]], torch.optim.Optimizer] | None,
        args: GRPOConfig,
        **trainer: Any,
    ):
        beta, args.beta = args.beta, 0.0  # else TRL reads a reference from _name_or_path, or copies the adapter
        reference = copy.deepcopy(vlm.model) if beta and not vlm.adapter_base else None
        spoken: list[Any] = [_of_texts(function) for function in rewards]
        super().__init__(vlm.model, reward_funcs=spoken, args=args, processing_class=TRLProcessor(vlm), **trainer)
        self.vlm = vlm
        self.folder = folder
        self.identity = identity
        self.completions = completions
        self.tagged = tagged
        self.score = score
        self.make_optimizer = optimizer
        self.beta = args.beta = beta
        if reference is not None:
            self.ref_model = self._frozen(reference)

    @property
    def settings(self) -> GRPOConfig:
        assert isinstance(self.args, GRPOConfig)
        return self.args

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        if self.optimizer is None and self.make_optimizer is not None:
            self.optimizer = self.make_optimizer(self.vlm.model, self.get_decay_parameter_names(self.vlm.model))
        return super().create_optimizer(model)

    def _frozen(self, reference: Any) -> Any:
        """The start weights. Under an adapter TRL asks the model itself, with the adapter switched off."""
        add_fused_lm_head(reference, self.temperature, self.settings.cast_lm_head_to_fp32)
        reference.requires_grad_(False)
        return self.accelerator.prepare_model(reference, evaluation_mode=True)

    def _send_telemetry(self) -> None:
        """Nobody is told of a run."""

    # --- pictures: as many as each row has, or none -------------------------------------------------------------------

    def _get_per_token_logps_and_entropies(
        self, model, input_ids, attention_mask, logits_to_keep, batch_size=None, num_images=None, **fields
    ):
        """TRL cuts a batch into parts; we do, because a part that has no picture must not be given any."""
        size = batch_size or len(input_ids)
        parts = []
        for start in range(0, len(input_ids), size):
            part = slice(start, start + size)
            shown = (input_ids[part] == self.vlm.image_token_id).any()
            given = _cut(fields, num_images, part) if shown else _without_pixels(fields, part)
            parts.append(
                super()._get_per_token_logps_and_entropies(
                    model, input_ids[part], attention_mask[part], logits_to_keep, **given
                )
            )
        return tuple(None if each[0] is None else torch.cat(each) for each in zip(*parts, strict=True))

    def _generate_and_score_completions(self, inputs):
        output = super()._generate_and_score_completions(inputs)
        if _sliced_by_row(output.get("pixel_values")):
            output["num_images"] = _MANY * len(output["prompt_ids"])
        if self.vlm.model.training:
            self._account()
        return output

    def _get_train_sampler(self, dataset=None):
        """No further than the run goes: a generation may have more micro-batches than are left."""
        micro_batches = self.args.max_steps * self.args.gradient_accumulation_steps
        rows: Any = super()._get_train_sampler(dataset)
        return _First(rows, micro_batches * cast(int, self.settings.generation_batch_size))

    # --- what was said and earned -------------------------------------------------------------------------------------

    def _account(self) -> None:
        """The generation that TRL has just kept for its own log, of all ranks."""
        logs = cast(dict[str, Any], self._logs)
        said = [completion[0]["content"] for completion in logs["completion"]]
        asked = [asked_in(messages) for messages in logs["prompt"]]
        parts = {name: list(values) for name, values in logs["rewards"].items()}
        weights = dict(zip(self.reward_func_names, self.reward_weights.tolist(), strict=True))
        advantages = list(logs["advantages"])
        every = [
            Completion(asked[row], said[row], {name: values[row] for name, values in parts.items()}, weights, advantage)
            for row, advantage in enumerate(advantages)
        ]
        metrics = self._metrics["train"]
        metrics["without_reward"].append(sum(not each.is_rewarded for each in every))
        metrics["groups_without_spread"].append(self.completions.heard(every, cast(int, self.num_generations)))
        if self.tagged:
            metrics["format"].append(sum(map(well_formed, said)) / len(said))

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise NonFiniteLoss(f"the loss is {loss.item()} at step {self.state.global_step + 1}")
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if any(name.startswith("eval_") for name in logs):  # TRL would mix what training has gathered into it
            return Trainer.log(self, logs, start_time)
        if "loss" in logs and self.accelerator.is_main_process:
            self.completions.write(self.state.global_step)
        super().log(logs, start_time)

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix: str = "eval") -> dict[str, float]:
        assert self.score is not None, "without a score eval_strategy is no"
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in self.score().items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    # --- checkpoints --------------------------------------------------------------------------------------------------

    def _save_checkpoint(self, model, trial) -> None:
        saving.save(self, self.vlm, self.folder, self.identity, self._save_window)

    def _save_window(self, folder: Path) -> None:
        """What the next line of the log will hold, and completions that are not used up yet."""
        every = cast(int, self.settings.steps_per_generation) * self.num_iterations
        window = {
            "loss": self._tr_loss,
            "start": self._globalstep_last_logged,
            "step": self._step,
            "metrics": dict(self._metrics["train"]),
            "completions": self.completions.state(),
            "buffer": self._buffered_inputs if self._step % every else None,
        }
        torch.save(window, folder / f"window_{self.args.process_index}.pt")

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Called once, where a resumed run takes its first step."""
        super()._load_rng_state(checkpoint)
        if checkpoint is None:
            return
        path = Path(checkpoint) / f"window_{self.args.process_index}.pt"
        saved = torch.load(path, weights_only=True, map_location="cpu")
        self._tr_loss += saved["loss"].to(self.args.device)  # in place: the training loop holds this very tensor
        self._globalstep_last_logged = saved["start"]
        self._step = saved["step"]
        self._metrics["train"].update(saved["metrics"])
        self.completions.restore(saved["completions"])
        if saved["buffer"] is not None:
            self._buffered_inputs = [_moved(part, self.args.device) for part in saved["buffer"]]  # type: ignore[assignment]


class _First(Sampler[int]):
    def __init__(self, rows: Any, count: int) -> None:
        self.rows, self.count = rows, count

    def __iter__(self) -> Iterator[int]:
        return islice(self.rows, self.count)

    def __len__(self) -> int:
        return min(self.count, len(self.rows))


# TRL takes pixels of one row each for pixels of one picture each where there are as many pictures as rows, though one
# row may have two pictures and another none. Told that every row has two, it counts rows.
_MANY = [2]
PIXELS = ("pixel_values", "pixel_attention_mask", "image_grid_thw")


def _sliced_by_row(pixels: Tensor | None) -> bool:
    """SmolVLM's: (rows, tiles, channels, height, width). Qwen's patches come with a grid for every picture."""
    return pixels is not None and pixels.dim() == 5


def _without_pixels(fields: dict[str, Any], part: slice) -> dict[str, Any]:
    return _rows({key: value for key, value in fields.items() if key not in PIXELS}, part)


def _cut(fields: dict[str, Any], num_images: list[int] | None, part: slice) -> dict[str, Any]:
    """The fields of some rows."""
    if _sliced_by_row(fields.get("pixel_values")):
        cut = _rows(fields, part)
        return {**cut, "num_images": _MANY * len(cut["pixel_values"])}
    assert num_images is not None, "patches come with the pictures of each row"
    grids = fields["image_grid_thw"].split(num_images)
    patches = fields["pixel_values"].split([int(grid.prod(-1).sum()) for grid in grids])
    whole = {"image_grid_thw": torch.cat(grids[part]), "pixel_values": torch.cat(patches[part])}
    return {**_without_pixels(fields, part), **whole, "num_images": num_images[part]}


def _rows(fields: dict[str, Any], part: slice) -> dict[str, Any]:
    return {key: value[part] if isinstance(value, Tensor) else value for key, value in fields.items()}


def _of_texts(function: Reward) -> Reward:
    """Rewards are written for texts: the last question, and what was said."""

    def reward(prompts: Any, completions: Any, **columns: Any) -> list[float | None]:
        asked = [asked_in(messages) for messages in prompts]
        return function(prompts=asked, completions=[said[0]["content"] for said in completions], **columns)

    reward.__name__ = cast(Any, function).__name__
    return reward


def _moved(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}
