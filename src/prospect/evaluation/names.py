"""Whether an utterance names the right thing: the part that its reference names.

Names are those of a world's parts, or of the steps of all videos of a split. A name is told by its own words: those
that not every name has. Of `Attach the red disc` and `Attach the blue ring` these are `red disc` and `blue ring`. A
text names it where these words stand together in this order; words that every name has may stand between or be left
out.
Where one name lies within another that is named at the same place (`disc` in `red disc`) only the longer one counts.

The steps of one task alone are too few: where all its parts are red, red is nobody's own word, and a blue disc passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from prospect.evaluation.overlap import words
from prospect.evaluation.pooling import Counts, share

Name = tuple[str, ...]


class Names:
    """The things that utterances can name. Names that have the same own words are one thing."""

    def __init__(self, names: Iterable[str]) -> None:
        whole = {tuple(words(name)) for name in names} - {()}
        shared = set[str]().union(*whole).intersection(*whole)
        if any(shared.issuperset(name) for name in whole):
            shared = set()  # a single name, or `disc` beside `red disc`, would be left without a word
        own = {tuple(word for word in name if word not in shared) for name in whole}
        self._shared = shared
        self._names = sorted(own, key=lambda name: (-len(name), name))

    def named(self, text: str) -> frozenset[Name]:
        """What a text names, each by its own words."""
        left: list[str | None] = [word for word in words(text) if word not in self._shared]
        found = set()
        for name in self._names:  # longest first, and what is read is taken
            for start in _places(left, name):
                left[start : start + len(name)] = [None] * len(name)
                found.add(name)
        return frozenset(found)


def counts(pairs: Iterable[tuple[str, str]], names: Names) -> dict[str, float]:
    """Of (predicted, reference) texts of one video: in how many the reference names something, and how many name the
    very same, no more and no less."""
    told = [(names.named(predicted), names.named(reference)) for predicted, reference in pairs]
    return {
        "naming": sum(bool(true) for _, true in told),
        "right_names": sum(bool(true) and said == true for said, true in told),
    }


def rates(of: Counts) -> dict[str, np.ndarray]:
    return {"right_names": share(of["right_names"], of["naming"])}


def _places(left: Sequence[str | None], name: Name) -> list[int]:
    """Where a name stands, never overlapping itself."""
    found, start = [], 0
    while start + len(name) <= len(left):
        if tuple(left[start : start + len(name)]) == name:
            found.append(start)
            start += len(name)
        else:
            start += 1
    return found
