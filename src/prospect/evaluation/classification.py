"""Classification metrics as pure functions. An answer that names no class is wrong, and counted as unreadable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

UNREADABLE = "(none)"


def confusion(truth: Sequence[str], predicted: Sequence[str | None], labels: Sequence[str]) -> np.ndarray:
    """Counts, rows the truth, columns the prediction; the last column holds answers that name no class."""
    place = {label: index for index, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels) + 1), dtype=int)
    for true, guess in zip(truth, predicted, strict=True):
        counts[place[true], len(labels) if guess is None else place[guess]] += 1
    return counts


def metrics(counts: np.ndarray, labels: Sequence[str]) -> dict[str, float]:
    """accuracy, macro_f1 (mean over classes that occur in truth or prediction), share unreadable, and per class."""
    square = counts[:, :-1]
    hits, support, guessed = np.diag(square), counts.sum(axis=1), square.sum(axis=0)
    total = counts.sum()
    precision, recall = _ratio(hits, guessed), _ratio(hits, support)
    f1 = _ratio(2 * hits, support + guessed)  # 2TP / (2TP + FN + FP)
    occurring = (support + guessed) > 0
    result = {
        "accuracy": float(hits.sum() / total) if total else 0.0,
        "macro_f1": float(f1[occurring].mean()) if occurring.any() else 0.0,
        "unreadable": float(counts[:, -1].sum() / total) if total else 0.0,
        "samples": int(total),
    }
    for index, label in enumerate(labels):
        result |= {
            f"class/{label}/precision": float(precision[index]),
            f"class/{label}/recall": float(recall[index]),
            f"class/{label}/f1": float(f1[index]),
            f"class/{label}/support": int(support[index]),
        }
    return result


def _ratio(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """0 where the denominator is 0."""
    return np.divide(upper, lower, out=np.zeros(len(upper)), where=lower > 0)
