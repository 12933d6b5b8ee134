"""Features of all frames of a data set, made once by a frozen tower: `python -m prospect.data.encode … out=FOLDER`.

`python train.py … data.features=FOLDER` then runs no tower. Started again after a stop, it goes on. With torchrun the
ranks share the videos.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Literal

from prospect.runs.build import build
from prospect.runs.command import command
from prospect.runs.ending import rank


def encode(
    model: dict[str, Any],
    adapt: dict[str, Any],
    data: dict[str, Any],
    loss: dict[str, Any],
    trainer: dict[str, Any],
    context: dict[str, Any],
    watch: dict[str, Any],
    out: str,
    dtype: Literal["float16", "float32"] = "float16",
    batch: int = 64,
    generation: dict[str, Any] | None = None,
    before: dict[str, Any] | None = None,
    seed: int = 0,
    resume: str | None = None,
) -> None:
    from pathlib import Path

    from prospect.data.encode import Tower, share, videos, write
    from prospect.errors import UserError
    from prospect.models.hub import bring

    if batch < 1:
        raise UserError(f"batch={batch}: at least one frame at a time")
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    mine = share(videos(build(data)), rank(), ranks)  # before torch is imported: what is wrong is said at once
    bring(model)

    from prospect.models.features import encode_frames, tower_facts
    from prospect.models.stream import for_streams

    vlm = for_streams(build(model), seed)
    if vlm.device.type == "meta":
        raise UserError("model.device=meta holds shapes and no weights, so there is nothing to encode with")
    name = model.get("path") or f"{model['_target_'].rpartition('.')[2]} with random weights"
    tower = Tower(
        lambda pictures: encode_frames(vlm, pictures, batch).float().numpy().astype(dtype),
        {**tower_facts(vlm), "model": name, "dtype": dtype},
    )
    folder = Path(out).expanduser().resolve()
    written = write(mine, folder, tower, batch)
    frames = sum(len(video.store) for video in mine)
    print(f"{len(mine)} stores, {frames} frames in {folder}; {written} of them made now")


if __name__ == "__main__":
    sys.exit(command(encode, config="encode", folder=False))
