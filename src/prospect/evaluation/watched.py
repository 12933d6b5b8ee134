"""Streams scored with every true token before given: decisions, utterances and updates, and rates by kind of event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np

from prospect.conversation.sample import Sample
from prospect.conversation.segments import DECISIONS
from prospect.data.dataset import Dataset
from prospect.evaluation.calls import pooled_precision
from prospect.evaluation.decisions import METRICS, average_precision, counted, rates, rates_of, recall_by_kind
from prospect.evaluation.footage import illustrated, pictured
from prospect.evaluation.performance import performance
from prospect.evaluation.pooling import pooled
from prospect.evaluation.scored import Scored
from prospect.evaluation.streamed import Watch, watched_split
from prospect.evaluation.thresholds import DIGITS, HALF, chosen, sweep
from prospect.models.vlm import VLM
from prospect.training.audit import encoded_split
from prospect.training.collate import collator
from prospect.training.losses import Objective
from prospect.training.stored import check_features
from prospect.training.teacher_forced import Decided, TeacherForced, teacher_forced

HEADLINE = ("speak/f1", "dst/f1", "dst/exact", "speak/token_accuracy")


def scores(
    vlm: VLM,
    data: Dataset,
    splits: Sequence[str],
    objective: Objective,
    batch_size: int,
    max_length: int | None,
    watch: Watch | None = None,
) -> dict[str, Scored]:
    """Thresholds are chosen on val and applied to every split; without a val split they are one half."""
    check_features(vlm, data)
    collate = collator(vlm)
    seen: dict[str, TeacherForced] = {}
    samples: dict[str, list[Sample]] = {}
    for split in dict.fromkeys([*(["val"] if data.splits["val"] else []), *splits]):
        items = encoded_split(vlm, data.splits[split], f"{data.name}/{split}", max_length, data.overlap)
        samples[split] = [item.sample for item in items]
        seen[split] = teacher_forced(vlm.model, collate, objective, items, batch_size)
    stored = {split: predictions(each.decided) for split, each in seen.items()}
    thresholds = chosen(stored)
    curves = sweep(stored, thresholds)
    found = {split: scored(seen[split], thresholds) for split in splits}
    found = {
        split: replace(each, predictions=illustrated(each.predictions, samples[split], thresholds), thresholds=curves)
        for split, each in found.items()
    }
    if watch is None or watch.how.clips == 0:
        return found
    return {split: freely(each, vlm, data, split, watch, thresholds) for split, each in found.items()}


def freely(scored: Scored, vlm: VLM, data: Dataset, split: str, watch: Watch, thresholds: dict[str, float]) -> Scored:
    """With what the model said, changed and believed when nothing true was given to it but the frames and the user."""
    samples, how = data.splits[split][: watch.how.clips], watch.how
    rows = watched_split(vlm, samples, how.settings(thresholds), watch.context, how.rows, watch.folder / split)
    found = performance(samples, rows, how, data.name)
    told = [row | clip for row, clip in zip(rows, found.clips, strict=True)]
    return replace(scored, metrics=scored.metrics | found.metrics, watched=pictured(told, samples))


def scored(seen: TeacherForced, thresholds: dict[str, float]) -> Scored:
    metrics, events = seen.metrics(), []
    if len(seen.decided.samples):
        metrics |= decision_metrics(seen.decided, thresholds) | over_clips(seen.decided, thresholds)
        metrics |= {f"{decision}/threshold": value for decision, value in thresholds.items()}
        events = event_rows(seen.decided, thresholds)
        metrics |= {f"{row['decision']}/kind/{row['kind']}/recall": row["recall"] for row in events}
    headline = tuple(name for name in HEADLINE if name in metrics)
    rows = [
        row | {"shares": each}
        for row, each in zip(predictions(seen.decided), shares(seen.decided, thresholds), strict=True)
    ]
    return Scored(metrics, headline, rows, events=events)


def progress(seen: TeacherForced) -> dict[str, float]:
    """Decision metrics at one half: choosing a threshold here would flatter the split that is being watched."""
    if not len(seen.decided.samples):
        return {}
    found = decision_metrics(seen.decided, dict.fromkeys(DECISIONS, HALF))
    return {name: value for name, value in found.items() if name.rsplit("/", 1)[1] in METRICS}


def decision_metrics(decided: Decided, thresholds: dict[str, float]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for number, name in enumerate(DECISIONS):
        labels, scores_ = _column(decided, number)
        found = rates(labels, scores_ > thresholds[name]) | {"ap": average_precision(labels, scores_)}
        metrics |= {f"{name}/{key}": value for key, value in found.items()}
    return metrics


def over_clips(decided: Decided, thresholds: dict[str, float]) -> dict[str, float]:
    """F1 and average precision as the mean over clips, and an interval over them."""
    metrics: dict[str, float] = {}
    places = [frames for _, frames in _clips(decided)]
    for number, name in enumerate(DECISIONS):
        labels, scores_ = _column(decided, number)
        clips = [(labels[frames], scores_[frames]) for frames in places]
        counts = [counted(mine, theirs > thresholds[name]) for mine, theirs in clips]
        for rate, found in (("f1", pooled(counts, rates_of)["f1"]), ("ap", pooled_precision(clips))):
            key = f"{name}/{rate}"
            metrics |= {f"{key}_macro": found.macro, f"{key}_low": found.low, f"{key}_high": found.high}
    return metrics


def event_rows(decided: Decided, thresholds: dict[str, float]) -> list[dict[str, Any]]:
    """How many of every kind of event were called, each kind for itself: one F1 hides systematic errors."""
    rows = []
    for number, name in enumerate(DECISIONS):
        labels, scores_ = _column(decided, number)
        called = scores_ > thresholds[name]
        for kind, (hit, of) in recall_by_kind(decided.kinds, called, name).items():
            rows.append({"decision": name, "kind": kind, "called": hit, "of": of, "recall": hit / of})
        quiet = ~labels
        rows.append(
            {
                "decision": name,
                "kind": "false alarm",
                "called": int((called & quiet).sum()),
                "of": int(quiet.sum()),
                "recall": float((called & quiet).sum() / max(1, quiet.sum())),
            }
        )
    return rows


def predictions(decided: Decided) -> list[dict[str, Any]]:
    """A row a clip: where what was right, of which kind, and the probabilities. Thresholds can be swept from these."""
    rows = []
    for name, frames in _clips(decided):
        row: dict[str, Any] = {"id": name, "frames": len(frames)}
        for number, decision in enumerate(DECISIONS):
            labels, scores_ = _column(decided, number)
            row[decision] = {
                "at": np.flatnonzero(labels[frames]).tolist(),
                "p": scores_[frames].tolist(),
            }
        row["events"] = [[place, kind] for place, index in enumerate(frames) for kind in decided.kinds[index]]
        rows.append(row)
    return rows


def shares(decided: Decided, thresholds: dict[str, float]) -> list[dict[str, list[int]]]:
    """What each clip adds to the upper and the lower sum of either F1, by which runs are compared clip by clip."""
    columns = {name: _column(decided, number) for number, name in enumerate(DECISIONS)}
    marks = {name: (labels, scores_ > thresholds[name]) for name, (labels, scores_) in columns.items()}
    return [
        {
            f"{name}/f1": [2 * int((labels & called)[frames].sum()), int(labels[frames].sum() + called[frames].sum())]
            for name, (labels, called) in marks.items()
        }
        for _, frames in _clips(decided)
    ]


def _clips(decided: Decided) -> Iterator[tuple[str, list[int]]]:
    """The places of each clip's frames, in their order."""
    order = sorted(range(len(decided.samples)), key=lambda index: decided.samples[index])  # stable
    for name, places in groupby(order, key=lambda index: decided.samples[index]):
        yield name, list(places)


def _column(decided: Decided, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of one kind of decision, with the digits that are stored: what is scored can be read."""
    probabilities = 1 / (1 + np.exp(-decided.logits[:, number].astype(np.float64)))
    return decided.labels[:, number], np.round(probabilities, DIGITS)
