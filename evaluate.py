"""Score a run folder, or a model zero-shot: `python evaluate.py run=DIR`, `python evaluate.py model=… data=…`."""

from __future__ import annotations

import os
import sys
from typing import Any

from prospect.runs.build import build
from prospect.runs.command import command
from prospect.runs.folder import Run


def evaluate(
    record: Run,
    model: dict[str, Any],
    adapt: dict[str, Any],
    data: dict[str, Any],
    loss: dict[str, Any],
    trainer: dict[str, Any],
    context: dict[str, Any],
    watch: dict[str, Any],
    judge: dict[str, Any],
    generation: dict[str, Any] | None = None,
    before: dict[str, Any] | None = None,
    seed: int = 0,
    resume: str | None = None,
    run: str | None = None,
    adapter: str | None = None,
    split: str = "test",
    users: str | int | list[str | int] | None = None,
    batch_size: int = 32,
) -> None:
    from prospect.data.users.dataset import of_users
    from prospect.errors import UserError
    from prospect.evaluation.judging import knock
    from prospect.models.hub import bring

    if adapter and not run:
        raise UserError(f"adapter={adapter} is one of a run's: give the run with run=DIR")
    dataset = build(data)  # before torch is imported: what is missing or wrong is said at once
    if not dataset.splits.get(split):
        there = ", ".join(name for name, samples in dataset.splits.items() if samples)
        raise UserError(f"split={split}: {dataset.name} has no samples there; it has some in {there}")
    dataset = of_users(dataset, users, split)
    judging = build(judge)
    asked = judging.judge(os.environ, watches=dataset.task == "stream" and watch.get("clips") != 0)
    if asked and record.is_main:
        knock(asked)

    compares = bool(run) and dataset.task == "preferences"  # with the model that the run began with
    if not run or compares:
        bring(model)

    from prospect.evaluation.rewarded import rewarded
    from prospect.evaluation.score import score
    from prospect.evaluation.streamed import Watch
    from prospect.models.loading import trained
    from prospect.models.reference import reference
    from prospect.models.stream import for_streams
    from prospect.runs.reports.results import write_results
    from prospect.training.preferred import Reference

    vlm = trained(run, model, adapter) if run else build(model)
    if dataset.task == "stream":
        vlm = for_streams(vlm, seed)
    record.record(data=dataset.facts(), parameters=vlm.parameter_counts(), evaluates=run)
    with record.time("evaluate"):
        freely = Watch(build(watch), build(context), record.folder / "watched")
        first = Reference(reference(build(adapt)(build(model))), beta(trainer)) if compares else None
        scored = score(vlm, dataset, (split,), build(loss), batch_size, trainer.get("max_length"), freely, first)
        rewards = build(trainer["rewards"]) if "rewards" in trainer else None
        scored = rewarded(vlm, scored, dataset, (split,), rewards)
    if not record.is_main:
        return
    if asked:  # one process asks, and none waits for it
        with record.time("judge"):
            scored = judging.judged(scored, asked)
    write_results(record, scored)


def beta(trainer: dict[str, Any]) -> float:
    """The unit of rewards: that of the training, or TRL's own where the training had none."""
    return trainer["args"].get("beta", 0.1)


if __name__ == "__main__":
    sys.exit(command(evaluate, config="evaluate"))
