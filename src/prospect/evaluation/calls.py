"""Decisions over frames of many videos: frame-exact and within a tolerance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prospect.evaluation.decisions import average_precision, counted, found_of, rates_of
from prospect.evaluation.pooling import DRAWS, LEVEL, Counts, Pooled, drawn, interval, share

Video = tuple[np.ndarray, np.ndarray]  # (frames,) labels, (frames,) probabilities


def hits_within(labels: np.ndarray, yes: np.ndarray, tolerance: int) -> int:
    """The most pairs of a called frame and an event at most `tolerance` frames apart, one to one.

    In time order the earliest of each that fit make a pair: with equal windows nothing beats that.
    """
    calls, events = np.flatnonzero(yes), np.flatnonzero(labels)
    hits = call = event = 0
    while call < len(calls) and event < len(events):
        ahead = int(events[event] - calls[call])
        if abs(ahead) <= tolerance:
            hits, call, event = hits + 1, call + 1, event + 1
        elif ahead > 0:
            call += 1
        else:
            event += 1
    return hits


def counts(labels: np.ndarray, yes: np.ndarray, tolerance: int) -> dict[str, float]:
    """What a video adds to the split."""
    labels, yes = np.asarray(labels, bool), np.asarray(yes, bool)
    return {**counted(labels, yes), "near_hits": hits_within(labels, yes, tolerance)}


def rates(of: Counts) -> dict[str, np.ndarray]:
    """Of counts summed over videos; elementwise where they are arrays. NaN where there was nothing to measure."""
    events, calls, near = (np.asarray(of[key], float) for key in ("events", "calls", "near_hits"))
    return rates_of(of) | {f"near_{name}": value for name, value in found_of(near, calls, events).items()}


def pooled_precision(videos: Sequence[Video], draws: int = DRAWS, seed: int = 0, level: float = LEVEL) -> Pooled:
    """Average precision of all frames together, mean over videos that have an event, interval over videos."""
    if not any(labels.any() for labels, _ in videos):
        return Pooled(0.0, 0.0, 0.0, 0.0)
    labels, scores = (np.concatenate(column) for column in zip(*videos, strict=True))
    each = [average_precision(mine, theirs) for mine, theirs in videos if mine.any()]
    owner = np.repeat(np.arange(len(videos)), [len(mine) for mine, _ in videos])
    order = np.argsort(-scores, kind="stable")
    owner, hit, values = owner[order], labels[order].astype(bool), scores[order]
    last = np.flatnonzero(np.r_[values[1:] != values[:-1], True])
    many = [_weighted(weights[owner], hit, last) for weights in drawn(len(videos), draws, seed)]
    return Pooled(average_precision(labels, scores), float(np.mean(each)), *interval(np.array(many), level))


def _weighted(weights: np.ndarray, hit: np.ndarray, last: np.ndarray) -> float:
    """Average precision where a frame occurs `weights` times. NaN where no event does."""
    hits, calls = np.cumsum(weights * hit)[last], np.cumsum(weights)[last]
    if not hits[-1]:
        return float("nan")
    recall = hits / hits[-1]  # differences of these add up to 1, where shares of their own may end a last digit above
    return float((np.diff(recall, prepend=0.0) * np.nan_to_num(share(hits, calls))).sum())
