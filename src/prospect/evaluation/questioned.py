"""Questions of a split, answered by the model and compared with all answers that are right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

from prospect.conversation.sample import Sample
from prospect.data.dataset import Dataset
from prospect.evaluation.answers import answers, budget
from prospect.evaluation.classified import add_thumbnails
from prospect.evaluation.pooling import pooled
from prospect.evaluation.right_answers import Judged, counts, judged, rates
from prospect.evaluation.scored import Scored
from prospect.models.vlm import VLM

NEEDS = {"yes_no/": "yes_no", "open/": "open"}  # rates that a split without such questions does not have


def score(vlm: VLM, data: Dataset, split: str, batch_size: int = 32, thumbnails: bool = True) -> Scored:
    """The intervals are over pictures: whatever is asked next is asked about another one."""
    samples = data.splits[split]
    texts = answers(vlm, samples, batch_size, data.answer_tokens or budget(vlm, samples))
    think = data.answer_format == "think"
    found = [_judged(text, sample, think) for text, sample in zip(texts, samples, strict=True)]
    rows = [_row(*each) for each in zip(samples, texts, found, strict=True)]
    if thumbnails:
        add_thumbnails(rows, samples)
    shown = ("accuracy", "yes_no/accuracy", "open/normalised", "format")
    metrics = _metrics(samples, found, think)
    return Scored(metrics, tuple(name for name in shown if name in metrics), rows)


def progress(vlm: VLM, data: Dataset, split: str, batch_size: int = 32) -> dict[str, float]:
    """The headlines of a split, for evaluation during training."""
    scored = score(vlm, data, split, batch_size, thumbnails=False)
    return {name: scored.metrics[name] for name in scored.headline}


def _judged(text: str, sample: Sample, think: bool) -> Judged:
    kind = sample.turns[-1].kind
    assert kind in ("yes_no", "open"), "every question is of a kind"
    return judged(text, sample.meta["columns"]["answers"], kind, think)  # type: ignore[arg-type]


def _metrics(samples: Sequence[Sample], found: Sequence[Judged], think: bool) -> dict[str, float]:
    by_picture: dict[Hashable, list[Judged]] = defaultdict(list)
    for sample, one in zip(samples, found, strict=True):
        by_picture[_shown(sample)].append(one)
    each = [counts(group) for group in by_picture.values()]
    metrics: dict[str, float] = {"samples": len(found), "pictures": len(each)}
    for kind in ("yes_no", "open"):
        metrics[f"{kind}/samples"] = sum(one.kind == kind for one in found)
    for name, rate in pooled(each, rates).items():
        if _has(name, metrics) and (think or name != "format"):
            metrics |= {name: rate.micro, f"{name}_low": rate.low, f"{name}_high": rate.high}
    return metrics


def _has(name: str, metrics: dict[str, float]) -> bool:
    return all(metrics[f"{kind}/samples"] for prefix, kind in NEEDS.items() if name.startswith(prefix))


def _shown(sample: Sample) -> Hashable:
    """A picture by where it lies, or by its bytes."""
    return tuple(picture.source for picture in sample.pictures)


def _row(sample: Sample, text: str, one: Judged) -> dict[str, Any]:
    columns = sample.meta["columns"]
    kind, right = ("yes_no", int(one.right)) if one.kind == "yes_no" else ("open", int(one.normalised))
    name = "yes_no/accuracy" if kind == "yes_no" else "open/normalised"
    return {
        "id": sample.id,
        "question": columns["question"],
        "label": " | ".join(columns["answers"]),
        "prediction": one.answer,
        "text": text,
        "kind": kind,
        "correct": one.right,
        "token_f1": one.token_f1,
        "shares": {"accuracy": [int(one.right), 1], name: [right, 1]},  # what this answer adds to the headlines
    }
