"""A split of questions with one right label each, answered by the model and scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prospect.conversation.sample import Sample
from prospect.data.dataset import Dataset
from prospect.data.labels import label_of
from prospect.evaluation.answers import answers, budget, prompt_pictures
from prospect.evaluation.classification import UNREADABLE, confusion, metrics
from prospect.evaluation.scored import Scored
from prospect.models.vlm import VLM
from prospect.training.thumbnails import data_uri

THUMBNAIL = 96  # pixels; predictions carry their picture into the report
THUMBNAILS = 120  # how many of them, wrong ones first


def score(vlm: VLM, data: Dataset, split: str, batch_size: int = 32, thumbnails: bool = True) -> Scored:
    samples = data.splits[split]
    texts = answers(vlm, samples, batch_size, budget(vlm, samples))
    guesses = [label_of(text, data.labels) for text in texts]
    truth = [sample.meta["label"] for sample in samples]
    counts = confusion(truth, guesses, data.labels)
    rows = [_row(*each) for each in zip(samples, truth, guesses, texts, strict=True)]
    if thumbnails:
        add_thumbnails(rows, samples)
    table = {"labels": list(data.labels), "columns": [*data.labels, UNREADABLE], "matrix": counts.tolist()}
    return Scored(metrics(counts, data.labels), ("accuracy", "macro_f1"), rows, confusion=table)


def accuracy(vlm: VLM, data: Dataset, split: str, batch_size: int = 32) -> dict[str, float]:
    """The two headline numbers, for evaluation during training."""
    scored = score(vlm, data, split, batch_size, thumbnails=False).metrics
    return {"accuracy": scored["accuracy"], "macro_f1": scored["macro_f1"]}


def _row(sample: Sample, truth: str, guess: str | None, text: str) -> dict[str, Any]:
    return {"id": sample.id, "label": truth, "prediction": guess, "text": text, "correct": guess == truth}


def add_thumbnails(rows: list[dict[str, Any]], samples: Sequence[Sample]) -> None:
    by_interest = sorted(zip(rows, samples, strict=True), key=lambda pair: pair[0]["correct"])
    for row, sample in by_interest[:THUMBNAILS]:
        if pictures := prompt_pictures(sample):
            picture = pictures[0].open()  # its own copy
            picture.thumbnail((THUMBNAIL, THUMBNAIL))
            row["image"] = data_uri(picture)
