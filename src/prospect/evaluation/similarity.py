"""How close two texts are in meaning: the cosine of what a text encoder makes of them. Reports state its name."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np

from prospect.errors import UserError
from prospect.evaluation.overlap import words

TFIDF = "tfidf"
PROASSIST = "sentence-transformers/all-mpnet-base-v2"  # the encoder that published numbers were made with
_WORDS, _CHARACTERS = (1, 2), (3, 4, 5)

Vector = Mapping[str, float]  # n-gram -> weight


class Encoder(Protocol):
    name: str

    def cosines(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """One number a pair. Of two equal texts exactly 1."""
        ...


def encoder(name: str, references: Sequence[str]) -> Encoder:
    """`tfidf`, fitted on these texts, or the name of a sentence-transformers model."""
    return TfIdf(references) if name == TFIDF else SentenceEncoder(name)


class TfIdf:
    """Word and character n-grams weighted by how rare they are among the references: no download, no training.

    The cosine is the mean of those of both kinds of n-grams. What no reference has counts as rarest, so that a made-up
    name pushes two texts apart. Unlike a sentence encoder it knows no synonyms.
    """

    name = "TF-IDF of words (1-2) and characters (3-5), fitted on the references"

    def __init__(self, references: Sequence[str]) -> None:
        self._texts = len(references)
        self._having = (Counter[str](), Counter[str]())  # of words and of characters: how many references have it
        for text in references:
            for having, grams in zip(self._having, _grams(text), strict=True):
                having.update(grams.keys())
        self._vectors = lru_cache(maxsize=65536)(self._weighed)

    def cosines(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        return np.array([self._cosine(one, other) for one, other in pairs], float)

    def _cosine(self, one: str, other: str) -> float:
        if one == other:
            return 1.0  # and not 1 − 1e-16
        sides = zip(self._vectors(one), self._vectors(other), strict=True)
        return min(1.0, sum(_dot(mine, theirs) for mine, theirs in sides) / 2)

    def _weighed(self, text: str) -> tuple[Vector, ...]:
        """A unit vector of words, and one of characters."""
        vectors = []
        for having, grams in zip(self._having, _grams(text), strict=True):
            raw = {gram: count * self._rarity(having[gram]) for gram, count in grams.items()}
            norm = math.sqrt(sum(weight * weight for weight in raw.values()))
            vectors.append({gram: weight / norm for gram, weight in raw.items()})
        return tuple(vectors)

    def _rarity(self, having: int) -> float:
        return math.log((1 + self._texts) / (1 + having)) + 1


class SentenceEncoder:
    """A sentence-transformers model."""

    def __init__(self, name: str, batch_size: int = 64) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise UserError(
                f"encoder {name!r} needs the package sentence-transformers: pip install -e '.[similarity]', "
                f"or use encoder {TFIDF!r}"
            ) from error
        try:
            self._model = SentenceTransformer(name)
        except OSError as error:
            raise UserError(f"encoder {name!r} cannot be loaded: {error}. Or use encoder {TFIDF!r}") from error
        self.name = name
        self._batch_size = batch_size

    def cosines(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        place = {text: index for index, text in enumerate(dict.fromkeys(text for pair in pairs for text in pair))}
        if not place:
            return np.zeros(0)
        made = np.asarray(self._model.encode(list(place), batch_size=self._batch_size, show_progress_bar=False), float)
        unit_TD = made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)
        found = [1.0 if one == other else unit_TD[place[one]] @ unit_TD[place[other]] for one, other in pairs]
        return np.clip(np.array(found), -1.0, 1.0)


def _grams(text: str) -> tuple[Counter[str], Counter[str]]:
    """n-grams of words, and of the characters of each word with its borders."""
    tokens = words(text)
    of_words = Counter(" ".join(tokens[i : i + n]) for n in _WORDS for i in range(len(tokens) - n + 1))
    bordered = [f" {token} " for token in tokens]
    of_characters = Counter(word[i : i + n] for word in bordered for n in _CHARACTERS for i in range(len(word) - n + 1))
    return of_words, of_characters


def _dot(one: Vector, other: Vector) -> float:
    if len(one) > len(other):
        one, other = other, one
    return sum(weight * other[gram] for gram, weight in one.items() if gram in other)
