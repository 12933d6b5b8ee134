"""Claims: the offline encoder equals dense TF-IDF; equal texts have cosine exactly 1; the optional package is asked for
only when it is wanted, and its absence is said."""

from __future__ import annotations

import math
import sys
import types
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.errors import UserError
from prospect.evaluation.similarity import PROASSIST, SentenceEncoder, TfIdf, encoder

REFERENCES = ["Next is the red disc.", "Good, the red disc is in place.", "All done.", "All done."]
texts = st.text("ab .", max_size=8)


def grams(text):
    tokens = text.lower().replace(".", " ").replace(",", " ").split()
    one = [*tokens, *(f"{a} {b}" for a, b in pairwise(tokens))]
    padded = [f" {token} " for token in tokens]
    other = [word[i : i + n] for word in padded for n in (3, 4, 5) for i in range(len(word) - n + 1)]
    return one, other


def dense(references, one, other):
    """TF-IDF with a matrix column for every n-gram of all texts."""
    total = 0.0
    for kind in (0, 1):
        known = [grams(text)[kind] for text in references]
        mine, theirs = grams(one)[kind], grams(other)[kind]
        columns = sorted({gram for row in [*known, mine, theirs] for gram in row})
        rarity = np.array([math.log((1 + len(known)) / (1 + sum(g in row for row in known))) + 1 for g in columns])
        a, b = (np.array([row.count(gram) for gram in columns]) * rarity for row in (mine, theirs))
        norm = np.linalg.norm(a) * np.linalg.norm(b)
        total += a @ b / norm / 2 if norm else 0
    return total


@given(st.lists(texts, max_size=4), texts, texts)
@settings(max_examples=150, deadline=None)
def test_the_offline_encoder_equals_dense_tfidf(references, one, other):
    found = TfIdf(references).cosines([(one, other)])[0]
    assert found == (1.0 if one == other else pytest.approx(dense(references, one, other)))
    assert 0 <= found <= 1


def test_rare_words_count_more_and_unknown_ones_push_apart():
    made = TfIdf(REFERENCES)
    same, unknown, other = made.cosines(
        [(REFERENCES[0], REFERENCES[0]), ("Next is the red zyx.", REFERENCES[0]), ("All done.", REFERENCES[0])]
    )
    assert same == 1.0
    assert other == 0.0
    assert 0.1 < unknown < 0.8
    assert made.cosines([("zyx", "xyz"), ("", "a"), ("", "")]).tolist() == [0, 0, 1]
    assert made.cosines([]).shape == (0,)


def test_the_factory():
    assert encoder("tfidf", REFERENCES).name.startswith("TF-IDF")


def test_without_the_package_a_user_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[similarity\]'"):
        encoder(PROASSIST, REFERENCES)


def test_sentence_encoder(monkeypatch):
    asked = []

    class Model:
        def __init__(self, name):
            if name == "nowhere":
                raise OSError("no such model")

        def encode(self, sentences, batch_size, show_progress_bar):
            asked.extend(sentences)
            return np.array([{"a": [2.0, 0], "b": [0, 3.0], "c": [-1.0, 0], "d": [1, 1]}[text] for text in sentences])

    monkeypatch.setitem(sys.modules, "sentence_transformers", types.SimpleNamespace(SentenceTransformer=Model))
    made = SentenceEncoder("some/model")
    assert made.name == "some/model"
    found = made.cosines([("a", "b"), ("a", "c"), ("a", "d"), ("d", "d")])
    assert found == pytest.approx([0, -1, math.sqrt(0.5), 1])
    assert found[3] == 1.0
    assert sorted(asked) == ["a", "b", "c", "d"]  # each text once
    assert made.cosines([]).shape == (0,)
    with pytest.raises(UserError, match="nowhere"):
        SentenceEncoder("nowhere")
