"""Words that two texts share: BLEU over a corpus of pairs, and METEOR without Java or WordNet.

BLEU-N = exp(min(0, 1 − r/c)) · (Π p_n)^(1/N), c and r the words of predictions and references, p_n the share of the
predictions' n-grams that their reference has, each at most as often (Papineni 2002). Counts add up over pairs. Orders
that neither side has (all texts are shorter) are left out of the mean, so that equal texts always score 1.

METEOR-like = F · (1 − ½ ((chunks − 1)/matches)³), F = 10PR/(R + 9P) (Banerjee and Lavie 2005). Words match by their
stem, there are no synonyms, and one chunk costs nothing, so that equal texts score 1; the original's ½ (1/matches)³
would give four equal words 0.992.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prospect.evaluation.pooling import share

ORDERS = (1, 2, 3, 4)
_ENDINGS = ("ingly", "edly", "ing", "ed", "es", "ly", "s")
_SHORTEST = 3  # letters that a stem keeps


def words(text: str) -> list[str]:
    return re.findall(r"\w+(?:['’]\w+)*", text.casefold())


def bleu_counts(predicted: str, reference: str) -> dict[str, int]:
    """What BLEU of any order is made of, for one pair."""
    ours, theirs = words(predicted), words(reference)
    counts = {"words": len(ours), "reference_words": len(theirs)}
    for order in ORDERS:
        said, wanted = _grams(ours, order), _grams(theirs, order)
        counts |= {
            f"hits_{order}": (said & wanted).total(),
            f"grams_{order}": said.total(),
            f"reference_grams_{order}": wanted.total(),
        }
    return counts


def bleu(counts: Mapping[str, Any], order: int) -> np.ndarray:
    """Of counts summed over pairs; elementwise where they are arrays."""
    logs, orders = np.zeros(np.shape(counts["words"])), np.zeros(np.shape(counts["words"]))
    for n in ORDERS[:order]:
        said, wanted = np.asarray(counts[f"grams_{n}"]), np.asarray(counts[f"reference_grams_{n}"])
        there = (said > 0) | (wanted > 0)
        precision = np.where(there, np.nan_to_num(share(counts[f"hits_{n}"], said)), 1.0)
        with np.errstate(divide="ignore"):
            logs, orders = logs + np.log(precision), orders + there  # log 0 = −inf makes the score 0
    length = np.nan_to_num(share(counts["reference_words"], counts["words"]), nan=1.0)
    return np.exp(np.minimum(0.0, 1 - length)) * np.exp(logs / np.maximum(orders, 1))


def meteor(predicted: str, reference: str) -> float:
    ours, theirs = list(map(stem, words(predicted))), list(map(stem, words(reference)))
    if not ours and not theirs:
        return 1.0
    runs = chunks(ours, theirs)
    matches = sum(runs)
    if not matches:
        return 0.0
    precision, recall = matches / len(ours), matches / len(theirs)
    return 10 * precision * recall / (recall + 9 * precision) * (1 - 0.5 * ((len(runs) - 1) / matches) ** 3)


def chunks(ours: Sequence[str], theirs: Sequence[str]) -> list[int]:
    """Lengths of shared runs, taken greedily: the longest first, of equal ones the first. Every shared word is in one.

    The least number of runs would be a search; greedy finds it wherever no word occurs twice.
    """
    left, right = list[str | None](ours), list[str | None](theirs)
    found = []
    while (run := _longest(left, right))[0]:
        length, start, other = run
        left[start : start + length] = [None] * length
        right[other : other + length] = [None] * length
        found.append(length)
    return found


def stem(word: str) -> str:
    """Without its commonest English ending: places, placed and placing are one word."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST:
            return word[: -len(ending)]
    return word[:-1] if word.endswith("e") and len(word) > _SHORTEST else word


def _longest(left: Sequence[str | None], right: Sequence[str | None]) -> tuple[int, int, int]:
    """Length and both starts of the longest shared run of words that are still free (None is taken)."""
    best, above = (0, 0, 0), [0] * (len(right) + 1)
    for i, word in enumerate(left):
        row = [0] * (len(right) + 1)
        for j, other in enumerate(right):
            if word is not None and word == other:
                row[j + 1] = above[j] + 1
                if row[j + 1] > best[0]:
                    best = (row[j + 1], i - row[j + 1] + 1, j - row[j + 1] + 1)
        above = row
    return best


def _grams(tokens: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + order]) for i in range(len(tokens) - order + 1))
