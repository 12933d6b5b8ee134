"""Checkpoints that are complete or not there: staged, sealed with a manifest, renamed into place."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prospect.disk import write_atomically
from prospect.errors import UserError
from prospect.models import sealed

log = logging.getLogger(__name__)


def staging(run: Path, step: int) -> Path:
    return run / "checkpoints" / f".step-{step}{sealed.PARTIAL}"


def final(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"step-{step}"


def begin(run: Path, step: int) -> Path:
    """An empty staging folder. Left-overs of a save that was killed are removed."""
    folder = staging(run, step)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def finish(run: Path, step: int, best: int | None, limit: int | None, ends_with_best: bool = True) -> None:
    """Publish what was staged and remove the oldest beyond the limit; the best stays.

    Where the run ends with the best one loaded, that one is its model, and best.json says so. Else it is the last.
    """
    target = final(run, step)
    if target.exists():  # only a damaged one can be here: a sound one would have been resumed from
        shutil.rmtree(target)
    sealed.publish(staging(run, step), target)
    if ends_with_best and best is not None and final(run, best).is_dir():
        write_atomically(run / "checkpoints" / "best.json", json.dumps({"checkpoint": f"step-{best}"}))
    _prune(run, keep={step, best}, limit=limit)


def _prune(run: Path, keep: set[int | None], limit: int | None) -> None:
    if limit is None or limit <= 0:
        return
    spare = [path for path in sealed.checkpoints(run) if int(path.name.removeprefix("step-")) not in keep]
    kept = len([step for step in keep if step is not None and final(run, step).is_dir()])
    for folder in spare[max(limit - kept, 0) :]:
        (folder / sealed.MANIFEST).unlink(missing_ok=True)  # a removal that is cut short must not look complete
        shutil.rmtree(folder)


def to_resume(run: Path, say: Callable[[str], object]) -> Path | None:
    """The newest checkpoint that verifies; damaged ones are named. None when there is no checkpoint at all."""
    found, passed = sealed.newest(run)
    for line in passed:
        say(f"passed over a damaged checkpoint: {line}")
    return found


def check_identity(checkpoint: Path, identity: dict) -> None:
    """Refuse to go on with other data, seed, batch layout or world size than the checkpoint was made with."""
    before = json.loads((checkpoint / "identity.json").read_text())
    changed = [
        f"{key}: was {before.get(key)!r}, is {value!r}" for key, value in identity.items() if before.get(key) != value
    ]
    if changed:
        raise UserError(f"{checkpoint} cannot be resumed exactly:\n  " + "\n  ".join(changed))


def start(folder: Path, resume: bool, identity: dict[str, Any]) -> Path | None:
    """Where a run goes on from: nowhere when it isn't resumed, or when there is no complete checkpoint yet."""
    if not resume:
        return None
    found = to_resume(folder, log.warning)
    if found is None:
        log.warning("%s has no complete checkpoint: training starts again at step 0", folder)
        return None
    if not any(found.glob("optimizer*")):
        raise UserError(f"{found} holds the model alone (trainer.args.save_only_model), so it cannot be resumed from")
    check_identity(found, identity)
    log.info("resuming from %s", found)
    return found
