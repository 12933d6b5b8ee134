"""Utterances against references as ProAssist defines it: who said the right thing at the right time.

A prediction at frame i and a frame j within the window, `left <= j − i <= right`, cost `sem + dist`:
sem = 1 − |cos| of both texts where frame j has a reference, else 1; dist = 0.3 (|i − j| / max(|left|, right))^1.5.
The cheapest matching that gives every prediction a frame of its own decides. A prediction on a frame without reference
is redundant, a reference that nobody got is missed, a matched pair with |cos| > 0.5 is correct.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from prospect.errors import UserError
from prospect.evaluation.overlap import ORDERS, bleu, bleu_counts, meteor
from prospect.evaluation.pooling import Counts, share
from prospect.evaluation.similarity import Encoder

Utterance = tuple[int, str]  # frame, text

# seconds of the reference minus seconds of the prediction: least, most
WINDOWS = {
    "narration": (-2.5, 2.5),
    "assembly101": (-2.0, 4.0),
    "ego4d": (-4.0, 8.5),
    "epickitchens": (-1.5, 3.0),
    "holoassist": (-1.5, 2.5),
    "egoexolearn": (-2.0, 3.5),
    "wtag": (-3.0, 6.0),
}
CORRECT = 0.5  # |cos| above it


@dataclass(frozen=True)
class Pair:
    predicted: Utterance
    reference: Utterance
    score: float  # |cos|
    cost: float

    @property
    def correct(self) -> bool:
        return self.score > CORRECT


@dataclass(frozen=True)
class Matching:
    pairs: tuple[Pair, ...]
    missed: tuple[Utterance, ...]
    redundant: tuple[Utterance, ...]


def window_of(dataset: str) -> tuple[float, float]:
    """The window in seconds of a data set, by the known name within its own: assembly101_dst_demo is assembly101."""
    for name, window in WINDOWS.items():
        if name in dataset:
            return window
    raise UserError(f"data set {dataset!r} has no known window: give one in seconds; known are {', '.join(WINDOWS)}")


def in_frames(window: tuple[float, float], fps: float) -> tuple[int, int]:
    """Whole frames within a window in seconds: −2 s to 4 s at 2 fps is −4 to 8."""
    left, right = (int(seconds * fps + math.copysign(1e-9, seconds)) for seconds in window)  # 4.35 · 100 is 434.99…
    if not left <= 0 <= right:
        raise UserError(f"window {window}: seconds before (at most 0) and after (at least 0)")
    return left, right


def matching(
    predictions: Sequence[Utterance],
    references: Sequence[Utterance],
    window: tuple[int, int],
    encoder: Encoder,
    frames: range | None = None,
    strict_proassist: bool = False,
) -> Matching:
    """Of one video. `window` is in frames; `frames` are those that the video has, None for no limit.

    `strict_proassist` repeats a fault of the published matcher, so that numbers can be compared: a cost of exactly 0,
    the very text at the very frame, is no edge of its sparse graph, and the pair cannot be matched. A prediction that
    is then left without any frame, where theirs ends in an error, is redundant.
    """
    texts = dict(references)
    assert len(texts) == len(references), "two references at one frame"
    assert len({frame for frame, _ in predictions}) == len(predictions), "two predictions at one frame"
    edges = list(_edges(predictions, texts, window, encoder, frames))
    taken = _cheapest(len(predictions), [edge for edge in edges if edge[2] or not strict_proassist])
    pairs = tuple(
        Pair(predictions[row], (frame, texts[frame]), score, cost)
        for row, frame, cost, score in edges
        if taken.get(row) == frame and frame in texts
    )
    got = {pair.reference[0] for pair in pairs}
    matched = {pair.predicted[0] for pair in pairs}
    return Matching(
        pairs,
        tuple(reference for reference in references if reference[0] not in got),
        tuple(prediction for prediction in predictions if prediction[0] not in matched),
    )


def _edges(
    predictions: Sequence[Utterance],
    texts: dict[int, str],
    window: tuple[int, int],
    encoder: Encoder,
    frames: range | None,
) -> Iterator[tuple[int, int, float, float]]:
    """(prediction, frame, cost, score) of every frame that a prediction may get."""
    left, right = window
    near = [
        (row, frame)
        for row, (at, _) in enumerate(predictions)
        for frame in range(at + left, at + right + 1)
        if frames is None or frame in frames
    ]
    told = [(row, frame) for row, frame in near if frame in texts]
    scores = dict(zip(told, np.abs(encoder.cosines([(predictions[r][1], texts[f]) for r, f in told])), strict=True))
    reach = max(-left, right, 1)
    for row, frame in near:
        score = float(scores.get((row, frame), 0.0))
        yield row, frame, (1 - score) + 0.3 * (abs(predictions[row][0] - frame) / reach) ** 1.5, score


def _cheapest(rows: int, edges: Sequence[tuple[int, int, float, float]]) -> dict[int, int]:
    """Prediction -> frame of the cheapest matching. Predictions that can get no frame are not in it."""
    if not rows:
        return {}
    frames = sorted({frame for _, frame, _, _ in edges})
    place = {frame: column for column, frame in enumerate(frames)}
    # The graph is sparse, a stored 0 would be no edge: 1 more on every edge changes no choice. A last resort for each
    # prediction costs more than all others together, so that it is used only where there is no other way.
    nowhere = [(row, len(frames) + row, 2.0 * (rows + 1)) for row in range(rows)]
    all_edges = [(row, place[frame], cost) for row, frame, cost, _ in edges] + nowhere
    at, to, costs = zip(*all_edges, strict=True)
    graph = csr_matrix((np.array(costs) + 1, (at, to)), shape=(rows, len(frames) + rows))
    chosen = zip(*min_weight_full_bipartite_matching(graph), strict=True)
    return {int(row): frames[column] for row, column in chosen if column < len(frames)}


def counts(found: Matching, fps: float) -> dict[str, float]:
    """What a video adds to the split: M, X, R, C, and sums over its correct pairs."""
    correct = [pair for pair in found.pairs if pair.correct]
    texts = [(pair.predicted[1], pair.reference[1]) for pair in correct]
    overlap = [bleu_counts(*pair) for pair in texts]
    return {
        "matched": len(found.pairs),
        "missed": len(found.missed),
        "redundant": len(found.redundant),
        "correct": len(correct),
        "score": sum(pair.score for pair in correct),
        "seconds": sum(abs(pair.predicted[0] - pair.reference[0]) for pair in correct) / fps,
        "meteor": sum(meteor(*pair) for pair in texts),
        **{key: sum(pair[key] for pair in overlap) for key in bleu_counts("", "")},
    }


def rates(of: Counts) -> dict[str, np.ndarray]:
    """Of counts summed over videos; elementwise where they are arrays. NaN where there was nothing to measure."""
    matched, missed, redundant, correct = (
        np.asarray(of[key], float) for key in ("matched", "missed", "redundant", "correct")
    )
    some = matched + missed + redundant
    said, wanted = matched + redundant, matched + missed
    jaccard = share(correct, some)
    text = {f"bleu_{order}": np.where(correct > 0, bleu(of, order), np.nan) for order in ORDERS}
    text["meteor"] = share(of["meteor"], correct)
    return {
        "precision": share(correct, said, some),
        "recall": share(correct, wanted, some),
        "f1": share(2 * correct, said + wanted),
        "jaccard": jaccard,
        "missing": share(missed, wanted, some),
        "redundant": share(redundant, said, some),
        "similarity": share(of["score"], correct),
        "time_difference": share(of["seconds"], correct),
        **text,
        **{f"{name}_weighted": jaccard * np.nan_to_num(score) for name, score in text.items()},
    }
