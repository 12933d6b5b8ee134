"""Binary decisions as pure functions of labels and scores: rates at a threshold, average precision, the threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

METRICS = ("precision", "recall", "f1", "ap")


def rates(labels: np.ndarray, yes: np.ndarray) -> dict[str, float]:
    """precision TP/(TP+FP), recall TP/(TP+FN), F1 2TP/(2TP+FP+FN), …; 0 where there is nothing to divide by."""
    hit, false, missed = (labels & yes).sum(), (~labels & yes).sum(), (labels & ~yes).sum()
    quiet = (~labels & ~yes).sum()
    recall = _ratio(hit, hit + missed)
    return {
        "precision": _ratio(hit, hit + false),
        "recall": recall,
        "f1": _ratio(2 * hit, 2 * hit + false + missed),
        "balanced_accuracy": (recall + _ratio(quiet, quiet + false)) / 2,
        "false_alarms": _ratio(false, false + quiet),
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


def _ratio(upper: int, lower: int) -> float:
    return float(upper / lower) if lower else 0.0
