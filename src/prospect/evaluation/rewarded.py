"""What a model's own answers earn: the rewards that a policy learns from, asked of greedy completions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from prospect.conversation.sample import Sample, Turn
from prospect.data.dataset import Dataset
from prospect.evaluation.answers import answers
from prospect.evaluation.rewards import Rewards
from prospect.evaluation.score import score
from prospect.evaluation.scored import Scored
from prospect.models.vlm import VLM
from prospect.training.losses import Objective
from prospect.training.policy_rows import asked_in, columns, prompt
from prospect.training.trl_processor import messages

LONGEST = 256  # tokens of an answer to a prompt that has no true one, where the data say nothing


def rewarded(
    vlm: VLM, scored: dict[str, Scored], data: Dataset, splits: Sequence[str], rewards: Rewards | None
) -> dict[str, Scored]:
    """Each split with its rewards beside its other numbers; what has no rewards stays as it is."""
    if rewards is None:
        return scored
    if data.task == "prompts":  # which have no other numbers
        scored = {split: _answered(vlm, data, data.splits[split]) for split in splits if data.splits[split]}
    return {split: _rewarded(each, data.splits[split], rewards) for split, each in scored.items()}


def progress(vlm: VLM, data: Dataset, objective: Objective, rewards: Rewards) -> Callable[[], dict[str, float]]:
    """The headline numbers of the val split, for evaluation during training."""

    def numbers() -> dict[str, float]:
        whole = {} if data.task == "prompts" else score(vlm, data, ("val",), objective)
        (scored,) = rewarded(vlm, whole, data, ("val",), rewards).values()
        return {name: scored.metrics[name] for name in scored.headline}

    return numbers


def _answered(vlm: VLM, data: Dataset, samples: Sequence[Sample], batch_size: int = 32) -> Scored:
    open_ended = [replace(sample, turns=(*prompt(sample), Turn("assistant", ("",)))) for sample in samples]
    texts = answers(vlm, open_ended, batch_size, data.answer_tokens or LONGEST)
    rows = [{"id": sample.id, "text": text} for sample, text in zip(samples, texts, strict=True)]
    return Scored({"samples": len(rows)}, (), rows)


def _rewarded(scored: Scored, samples: Sequence[Sample], rewards: Rewards) -> Scored:
    texts = [row["text"] for row in scored.predictions]
    given = _given(samples, texts, rewards)
    totals = [_total(row, rewards.weights) for row in zip(*given.values(), strict=True)]
    means = {f"reward/{name}": _mean(values) for name, values in given.items()}
    metrics = {"reward": _mean(totals), **means}
    known = {name: value for name, value in metrics.items() if value is not None}
    rows = [{**row, "reward": total} for row, total in zip(scored.predictions, totals, strict=True)]
    headline = ("reward",) if "reward" in known else ()
    return replace(scored, metrics=scored.metrics | known, headline=(*headline, *scored.headline), predictions=rows)


def _given(samples: Sequence[Sample], texts: Sequence[str], rewards: Rewards) -> dict[str, list[float | None]]:
    names = dict.fromkeys(name for sample in samples for name in columns(sample))
    beside = {name: [columns(sample).get(name) for sample in samples] for name in names}
    asked = [asked_in(messages(prompt(sample))) for sample in samples]
    return {_name(f): f(prompts=asked, completions=list(texts), **beside) for f in rewards.functions}


def _name(function: Any) -> str:
    return function.__name__


def _total(given: Sequence[float | None], weights: Sequence[float]) -> float | None:
    """The weighted sum of what there is, as TRL sums it; None where nothing could be said."""
    there = [weight * value for weight, value in zip(weights, given, strict=True) if value is not None]
    return sum(there) if there else None


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None
