"""A run's own starting checkpoint: supervised training of the whole model, in a folder inside the run's."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prospect.data.dataset import Dataset
from prospect.disk import write_atomically
from prospect.errors import UserError
from prospect.models.adapt import full
from prospect.models.vlm import VLM
from prospect.training import gpu
from prospect.training.fit import Fit
from prospect.training.losses import Objective

log = logging.getLogger(__name__)

DONE = "done.json"


def started(
    model: Mapping[str, Any],
    make: Callable[[dict[str, Any]], VLM],
    trainer: Callable[..., Fit],
    data: Dataset,
    objective: Objective,
    folder: Path,
    seed: int,
    resume: bool,
) -> dict[str, Any]:
    """The model to start from: that of the configuration, with the weights that this phase has learnt.

    What comes next reads them from the folder, as it would read those of any other run. A resumed run that has come so
    far doesn't repeat the phase.
    """
    if model.get("device") == "meta":
        raise UserError("before=…: device=meta has no weights to train; leave it out")
    if not (folder / DONE).is_file():
        folder.mkdir(exist_ok=True)
        log.info("before: supervised training in %s", folder)
        vlm = full(make(dict(model)))
        fit = trainer(vlm=vlm, data=data, loss=objective, folder=folder, seed=seed, resume=resume)
        write_atomically(folder / DONE, json.dumps({"steps": fit.steps, "seconds": fit.seconds}))
        del vlm
        gpu.free()
    read = {"weights": "pretrained"} if "weights" in model else {}
    return {**model, "path": str(folder), **read}
