"""Claims: BLEU equals its definition, on values worked by hand and against brute force; METEOR-like likewise; equal
texts score 1."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.evaluation.overlap import ORDERS, bleu, bleu_counts, chunks, meteor, stem, words

texts = st.lists(st.sampled_from("abcd"), max_size=6).map(" ".join)
corpora = st.lists(st.tuples(texts, texts), min_size=1, max_size=4)


def of(pairs, order):
    added = Counter()
    for pair in pairs:
        added.update(bleu_counts(*pair))
    return float(bleu({key: added[key] for key in bleu_counts("", "")}, order))


def by_definition(pairs, order):
    """Every n-gram written out, and struck from a list of the reference's when it is found."""
    said = sum(len(predicted.split()) for predicted, _ in pairs)
    wanted = sum(len(reference.split()) for _, reference in pairs)
    precisions = []
    for n in range(1, order + 1):
        hits = total = possible = 0
        for predicted, reference in pairs:
            mine, theirs = (
                [t.split()[i : i + n] for i in range(len(t.split()) - n + 1)] for t in (predicted, reference)
            )
            total, possible = total + len(mine), possible + len(theirs)
            for gram in mine:
                if gram in theirs:
                    theirs.remove(gram)
                    hits += 1
        if total or possible:
            precisions.append(hits / total if total else 0)
    if 0 in precisions:
        return 0.0
    brevity = 1.0 if said >= wanted else math.exp(1 - wanted / said) if said else 0.0
    return brevity * math.prod(precisions) ** (1 / max(1, len(precisions)))


@given(corpora, st.sampled_from(ORDERS))
@settings(max_examples=300, deadline=None)
def test_bleu_equals_its_definition(pairs, order):
    assert of(pairs, order) == pytest.approx(by_definition(pairs, order))


def test_bleu_by_hand():
    pair = [("the the the the the the the", "The cat is on the mat.")]
    assert of(pair, 1) == pytest.approx(2 / 7)  # Papineni's clipping
    assert of(pair, 2) == 0
    short = [("red disc", "the red disc is good")]
    assert of(short, 1) == pytest.approx(math.exp(1 - 5 / 2))
    assert of(short, 2) == pytest.approx(math.exp(1 - 5 / 2))
    assert of(short, 3) == 0  # the reference has such n-grams
    assert of([("a b c d", "a b d c")], 2) == pytest.approx(math.sqrt(1 * 1 / 3))
    assert of([("All done.", "all done")], 4) == 1  # shorter than four words
    assert of([("", "")], 4) == 1
    assert of([("", "a")], 1) == 0


def test_words():
    assert words("Stop. It's the RED disc!") == ["stop", "it's", "the", "red", "disc"]


def fewest(ours, theirs):
    """Matches and the fewest runs, by trying every alignment of as many words as possible."""
    if not ours or not theirs:
        return 0, 0
    matches = (Counter(ours) & Counter(theirs)).total()
    best = None
    for mine in combinations(range(len(ours)), matches):
        for other in permutations(range(len(theirs)), matches):
            if all(ours[i] == theirs[j] for i, j in zip(mine, other, strict=True)):
                pairs = list(zip(mine, other, strict=True))
                runs = sum(k == 0 or pairs[k - 1] != (i - 1, j - 1) for k, (i, j) in enumerate(pairs))
                best = runs if best is None else min(best, runs)
    return matches, best


@given(st.lists(st.sampled_from("abc"), max_size=5), st.lists(st.sampled_from("abc"), max_size=5))
@settings(max_examples=150, deadline=None)
def test_every_shared_word_is_in_one_run(ours, theirs):
    found = chunks(ours, theirs)
    matches, best = fewest(ours, theirs)
    assert sum(found) == matches
    assert best <= len(found) <= matches


@given(st.permutations("abcdef"), st.permutations("abcdefgh"))
@settings(max_examples=100, deadline=None)
def test_runs_are_the_fewest_where_no_word_occurs_twice(ours, theirs):
    place = {word: index for index, word in enumerate(theirs)}
    runs = sum(k == 0 or place[ours[k - 1]] != place[word] - 1 for k, word in enumerate(ours))
    assert len(chunks(ours, theirs)) == runs


def test_meteor_by_hand():
    assert meteor("Next is the red disc.", "next is the red disc") == 1
    assert meteor("up", "down") == 0
    assert meteor("", "") == 1
    assert meteor("", "a") == meteor("a", "") == 0
    assert meteor("a b", "a b c d") == pytest.approx(10 * 1 * 0.5 / (0.5 + 9))
    assert meteor("a b c d", "a b") == pytest.approx(10 * 0.5 * 1 / (1 + 4.5))
    assert meteor("c d a b", "a b c d") == pytest.approx(1 - 0.5 * (1 / 4) ** 3)
    assert meteor("placing the discs", "placed the disc") == 1


def test_stems():
    assert {stem(word) for word in ("place", "places", "placed", "placing")} == {"plac"}
    assert [stem(word) for word in ("is", "red", "the", "ring", "disc")] == ["is", "red", "the", "ring", "disc"]


@given(texts, texts)
@settings(max_examples=100, deadline=None)
def test_meteor_lies_between_0_and_1_and_equal_texts_have_1(one, other):
    assert 0 <= meteor(one, other) <= 1
    assert meteor(one, one) == 1
