"""What the model will see and learn: `python preview.py data=… [index=N] [split=…] [html=FILE]`."""

from __future__ import annotations

import sys
from typing import Any

from prospect.runs.build import build
from prospect.runs.command import command


def preview(
    model: dict[str, Any],
    adapt: dict[str, Any],
    data: dict[str, Any],
    loss: dict[str, Any],
    trainer: dict[str, Any],
    context: dict[str, Any],
    watch: dict[str, Any],
    generation: dict[str, Any] | None = None,
    before: dict[str, Any] | None = None,
    seed: int = 0,
    resume: str | None = None,
    split: str = "train",
    index: int = 0,
    html: str | None = "preview.html",
) -> None:
    from pathlib import Path

    from rich.console import Console

    from prospect.errors import UserError
    from prospect.models.hub import bring
    from prospect.runs.reports.preview import page, show

    dataset = build(data)  # before torch is imported: what is missing or wrong is said at once
    if not dataset.groups.get(split):
        there = ", ".join(name for name, samples in dataset.groups.items() if samples)
        raise UserError(f"split={split}: {dataset.name} has no samples there; it has {there}")
    bring(model)

    from prospect.models.stream import for_streams
    from prospect.training.preview import view

    vlm = build(model)
    if dataset.task == "stream":
        vlm = for_streams(vlm, seed)
    seen = view(vlm, dataset, split, index, trainer.get("max_length"), seed)
    show(seen, Console())
    if html:
        print(f"page {page(seen, Path(html))}")


if __name__ == "__main__":
    sys.exit(command(preview, config="preview", folder=False))
