"""Binary decisions as pure functions of labels and scores: rates at a threshold, average precision, the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from prospect.evaluation.pooling import Counts, share

METRICS = ("precision", "recall", "f1", "ap")


def counted(labels: np.ndarray, yes: np.ndarray) -> dict[str, int]:
    """What rates are made of; such counts can be added."""
    return {
        "events": int(labels.sum()),
        "calls": int(yes.sum()),
        "frames": len(labels),
        "hits": int((labels & yes).sum()),
    }


def rates(labels: np.ndarray, yes: np.ndarray) -> dict[str, float]:
    """Those of `rates_of`; 0 where there was nothing to measure."""
    return {name: float(np.nan_to_num(value)) for name, value in rates_of(counted(labels, yes)).items()}


def rates_of(counts: Counts) -> dict[str, np.ndarray]:
    """precision TP/(TP+FP), recall TP/(TP+FN), F1 2TP/(2TP+FP+FN), …, elementwise where the counts are arrays.

    NaN where there was nothing to measure. Balanced accuracy is the mean of the sides that exist.
    """
    events, calls, frames, hits = (np.asarray(counts[key], float) for key in ("events", "calls", "frames", "hits"))
    quiet = frames - events
    false_alarms = share(calls - hits, quiet)
    found = found_of(hits, calls, events)
    sides = [found["recall"], 1 - false_alarms]
    balanced = np.where(events > 0, np.where(quiet > 0, sum(sides) / 2, sides[0]), sides[1])
    return {**found, "balanced_accuracy": balanced, "false_alarms": false_alarms}


def found_of(hits: Any, calls: Any, events: Any) -> dict[str, np.ndarray]:
    """precision, recall and F1 alone."""
    return {
        "precision": share(hits, calls, events + calls),
        "recall": share(hits, events, events + calls),
        "f1": share(2 * hits, events + calls),
    }


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Σ (recall_i − recall_{i−1}) · precision_i over the thresholds, equal scores taken together; 0 without a yes."""
    if not labels.any():
        return 0.0
    hits, calls, _ = _curve(labels, scores)
    recall, precision = hits / labels.sum(), hits / calls
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def best_threshold(labels: np.ndarray, scores: np.ndarray) -> float:
    """The threshold of the best F1, from 0 on: scores above it mean yes. Of a plateau its middle, which carries over
    best."""
    if not labels.any():
        return float(scores.max(initial=0.0))  # no event: yes to nothing
    hits, calls, values = _curve(labels, scores)
    f1 = np.where(values > 0, 2 * hits / (calls + labels.sum()), 0)  # a score of 0 is never a yes
    best = int(f1.argmax())
    below = values[best + 1] if best + 1 < len(values) else 0.0
    return float((values[best] + below) / 2)


def _curve(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right calls, calls, and the least score called, when everything from that score up is called."""
    order = np.argsort(-scores, kind="stable")
    values = scores[order]
    last = np.flatnonzero(np.r_[values[1:] != values[:-1], True])  # equal scores cannot be parted
    return np.cumsum(labels[order])[last], last + 1, values[last]


def recall_by_kind(kinds: Sequence[tuple[str, ...]], yes: np.ndarray, decision: str) -> dict[str, tuple[int, int]]:
    """(called, all) of every kind of event of one decision, by name. Kinds are written `decision/name`."""
    found: dict[str, tuple[int, int]] = {}
    for names, called in zip(kinds, yes, strict=True):
        for name in dict.fromkeys(names):
            if name.startswith(f"{decision}/"):
                hit, of = found.get(name.split("/", 1)[1], (0, 0))
                found[name.split("/", 1)[1]] = (hit + bool(called), of + 1)
    return dict(sorted(found.items()))
