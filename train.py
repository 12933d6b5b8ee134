"""Compose, check, build, train, evaluate, record: `python train.py [group=option …] [key=value …] [-m …]`."""

from __future__ import annotations

import sys
from typing import Any

from prospect.errors import UserError
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
    generation: dict[str, Any] | None = None,
    before: dict[str, Any] | None = None,
    seed: int = 0,
    resume: str | None = None,
) -> None:
    from prospect.models.hub import bring
    from prospect.models.machine import check_machine
    from prospect.training.suited import suited

    check_machine(adapt)
    if before and "_target_" not in before:
        raise UserError("before has settings and no trainer: name one, as trainer@before=scratch, or say before=null")
    more = {"generation": build(generation)} if generation else {}
    with run.time("data"):
        dataset = build(data)  # before torch is imported: what is missing or wrong is said at once
        suited(trainer["_target_"].rpartition(".")[2], dataset)
        rewards = earned(trainer, generation, dataset)
        bring(model)

    from prospect.evaluation.rewarded import progress as rewarding
    from prospect.evaluation.rewarded import rewarded
    from prospect.evaluation.score import progress, score
    from prospect.evaluation.streamed import Watch
    from prospect.models.stream import for_streams
    from prospect.runs.reports.results import write_results
    from prospect.training.before import started
    from prospect.training.stored import freeze_for_features

    objective = build(loss)
    if before:
        with run.time("before"):
            place = run.folder / "before"
            model = started(model, build, build(before), dataset, objective, place, seed, resume is not None)
    with run.time("build"):
        vlm = build(model)
        if dataset.task == "stream":
            vlm = for_streams(vlm, seed)
        vlm = build(adapt)(vlm)
        freeze_for_features(vlm, dataset)
        freely = Watch(build(watch), build(context), run.folder / "watched")
    run.record(data=dataset.facts(), parameters=vlm.parameter_counts())
    if vlm.device.type == "meta":
        print_counts(vlm.parameter_counts())
    if rewards:
        run.record(rewards=rewards.facts())
        more |= {"rewards": rewards, "score": rewarding(vlm, dataset, objective, rewards)}
    else:
        more |= {"loss": objective, "score": progress(vlm, dataset)}
    fitted = build(without_rewards(trainer))(
        vlm=vlm, data=dataset, folder=run.folder, seed=seed, resume=resume is not None, **more
    )
    if rewards and (judged := rewards.counts()):
        run.record(judged=judged)
    if vlm.device.type == "meta":
        return print("device=meta: checked and counted, nothing trained")
    with run.time("evaluate"):
        longest, splits = trainer.get("max_length"), ("val", "test")
        scored = score(vlm, dataset, splits, objective, max_length=longest, watch=freely, reference=fitted.reference)
        scored = rewarded(vlm, scored, dataset, splits, rewards)
    if run.is_main:
        write_results(run, scored, {"train/steps": fitted.steps, "train/seconds": fitted.seconds})


def earned(trainer: dict[str, Any], generation: dict[str, Any] | None, data: Any) -> Any:
    """The rewards of a policy, tried on the data before any model is loaded; None where nothing is rewarded."""
    if "rewards" not in trainer:
        if generation:
            raise UserError("generation=… is for trainer=grpo: nothing is generated while this trainer trains")
        return None
    rewards = build(trainer["rewards"])
    rewards.check(data)
    return rewards


def without_rewards(trainer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in trainer.items() if name != "rewards"}


def print_counts(counts: dict[str, int]) -> None:
    for part, number in counts.items():
        print(f"{part:>12} {number:>15,}")


if __name__ == "__main__":
    sys.exit(command(train, config="config"))
