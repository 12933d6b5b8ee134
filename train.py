"""Compose, check, build, train, evaluate, record: `python train.py [group=option …] [key=value …] [-m …]`."""

from __future__ import annotations

import sys
from typing import Any

from prospect.runs.build import build
from prospect.runs.command import command
from prospect.runs.folder import Run


def train(
    run: Run,
    model: dict[str, Any],
    adapt: dict[str, Any],
    data: dict[str, Any],
    loss: dict[str, Any],
    trainer: dict[str, Any],
    context: dict[str, Any],
    watch: dict[str, Any],
    seed: int = 0,
    resume: str | None = None,
) -> None:
    from prospect.models.hub import bring
    from prospect.models.machine import check_machine

    check_machine(adapt)
    with run.time("data"):
        dataset = build(data)  # before torch is imported: what is missing or wrong is said at once
        bring(model)

    from prospect.evaluation.score import progress, score
    from prospect.evaluation.streamed import Watch
    from prospect.models.stream import for_streams
    from prospect.runs.reports.results import write_results
    from prospect.training.stored import freeze_for_features

    with run.time("build"):
        vlm = build(model)
        if dataset.task == "stream":
            vlm = for_streams(vlm, seed)
        vlm = build(adapt)(vlm)
        freeze_for_features(vlm, dataset)
        objective = build(loss)
        freely = Watch(build(watch), build(context), run.folder / "watched")
    run.record(data=dataset.facts(), parameters=vlm.parameter_counts())
    if vlm.device.type == "meta":
        print_counts(vlm.parameter_counts())
    fitted = build(trainer)(
        vlm=vlm,
        data=dataset,
        loss=objective,
        folder=run.folder,
        seed=seed,
        resume=resume is not None,
        score=progress(vlm, dataset),
    )
    if vlm.device.type == "meta":
        return print("device=meta: checked and counted, nothing trained")
    with run.time("evaluate"):
        longest, before = trainer.get("max_length"), fitted.reference
        scored = score(vlm, dataset, ("val", "test"), objective, max_length=longest, watch=freely, reference=before)
    if run.is_main:
        write_results(run, scored, {"train/steps": fitted.steps, "train/seconds": fitted.seconds})


def print_counts(counts: dict[str, int]) -> None:
    for part, number in counts.items():
        print(f"{part:>12} {number:>15,}")


if __name__ == "__main__":
    sys.exit(command(train, config="config"))
