"""A checkpoint of any trainer: everything staged by the main process, sealed, and renamed into place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from transformers import Trainer
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import ExportableState

from prospect.models.vlm import VLM
from prospect.training import checkpoints, sharding
from prospect.training.processes import wait_for_all


def save(
    trainer: Trainer, vlm: VLM, folder: Path, identity: dict[str, Any], save_window: Callable[[Path], None]
) -> None:
    """`save_window` writes what a trainer holds between two lines of the log, so that a resumed run writes the same."""
    args, state = trainer.args, trainer.state
    step, best, main = state.global_step, state.best_global_step, args.should_save
    if main:
        checkpoints.begin(folder, step)
    wait_for_all()
    staging = checkpoints.staging(folder, step)
    if best:
        state.best_model_checkpoint = str(checkpoints.final(folder, best))
    if not args.save_only_model:
        trainer._save_optimizer_and_scheduler(str(staging))
        trainer._save_scaler(str(staging))
        trainer._save_rng_state(str(staging))
        save_window(staging)
    weights = sharding.whole_weights(vlm.model) if vlm.sharded else None
    if main:
        vlm.save(staging, weights)
        _export_callbacks(trainer)
        state.save_to_json(str(staging / TRAINER_STATE_NAME))
        (staging / "identity.json").write_text(json.dumps(identity, indent=1))
    wait_for_all()
    if main:
        checkpoints.finish(folder, step, best, args.save_total_limit, args.load_best_model_at_end)
    wait_for_all()


def _export_callbacks(trainer: Trainer) -> None:
    """State of patience counters and the like, so that early stopping survives a resume."""
    kept = cast(dict[str, Any], trainer.state.stateful_callbacks)
    for callback in [*trainer.callback_handler.callbacks, trainer.control]:
        if isinstance(callback, ExportableState):
            kept[type(callback).__name__] = callback.state()
