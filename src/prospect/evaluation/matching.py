"""Whether an answer is the right one: letter by letter, by its words, and how far its point is from the true one."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

Point = tuple[float, float]

_NUMBER = r"[-+]?\d+(?:\.\d+)?"
# Two numbers and nothing else between them: (12, 34) · [12, 34] · <point>12 34</point> · x="12" y="34" · x=12, y=34
_PAIR = re.compile(
    rf"""(?<![\w.,+-])(?:x\s*[=:]\s*)?["']?({_NUMBER})["']?\s*(?:,|;|\s)\s*(?:["']?y["']?\s*[=:]\s*)?["']?({_NUMBER})["']?(?![\w]|[.]\d)"""
)
_ANY = re.compile(rf"(?<![\w.]){_NUMBER}")


@dataclass(frozen=True)
class Match:
    """One answer against the truth. `distance` is None where the truth holds no point, or the answer none that counts.

    An answer that should hold a point and holds none, or several, is `unparsable`: it has no distance at all, and is
    never taken for the point (0, 0).
    """

    exact: bool
    normalised: bool
    has_point: bool = False
    distance: float | None = None

    @property
    def unparsable(self) -> bool:
        return self.has_point and self.distance is None


def match(answer: str, truth: str) -> Match:
    same, alike = answer.strip() == truth.strip(), normalised(answer) == normalised(truth)
    target = point_of(truth)
    if target is None:
        return Match(same, alike)
    found = point_of(answer)
    return Match(same, alike, True, None if found is None else math.dist(found, target))


def point_of(text: str) -> Point | None:
    """The one point that a text holds. None where there is none, or other numbers leave open which it is."""
    pairs = _PAIR.findall(text)
    if len(pairs) != 1 or len(_ANY.findall(text)) != 2:
        return None
    x, y = pairs[0]
    return float(x), float(y)


def normalised(text: str) -> str:
    """The same for texts that differ in case, width, spaces and punctuation around words alone.

    Marks within numbers stay, as 1.5 is not 15 and -3 not 3; a text of marks alone stays as it is.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(
        " " if unicodedata.category(letter).startswith("P") and not _in_number(folded, place) else letter
        for place, letter in enumerate(folded)
    ).split()
    return " ".join(words) or " ".join(folded.split())


def token_f1(answer: str, truth: str) -> float:
    """2 · shared / (words of both), words as `normalised` leaves them, each as often as it stands in both."""
    ours, theirs = normalised(answer).split(), normalised(truth).split()
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * (Counter(ours) & Counter(theirs)).total() / (len(ours) + len(theirs))


def _in_number(text: str, place: int) -> bool:
    before, after = text[max(0, place - 1) : place], text[place + 1 : place + 2]
    if not after.isdigit():
        return False
    return before.isdigit() if text[place] in ".,:/" else text[place] == "-" and not before.isalnum()
