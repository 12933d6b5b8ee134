"""Whether a short answer is right: against every answer that its question has, by letter, by word, and in part.

Token F1 is the best that any right answer gives (Rajpurkar 2016). An answer that cannot be read is wrong in every
measure, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from prospect.conversation.tags import answer_of, well_formed
from prospect.evaluation.matching import normalised, token_f1
from prospect.evaluation.pooling import Counts, share

Kind = Literal["yes_no", "open"]


@dataclass(frozen=True)
class Judged:
    """One answer. `answer` is what was read, None where nothing can be; `right` goes by the kind of its question."""

    kind: Kind
    answer: str | None
    exact: bool
    normalised: bool
    token_f1: float
    right: bool
    well_formed: bool


def judged(text: str, right: Sequence[str], kind: Kind, think: bool) -> Judged:
    """`text` as the model wrote it. With `think` its answer stands between tags, or there is none."""
    answer = answer_of(text) if think else text.strip() or None
    form = well_formed(text) if think else answer is not None
    if answer is None:
        return Judged(kind, None, False, False, 0.0, False, form)
    alike = normalised(answer) in map(normalised, right)
    hit = yes_no(answer) in map(yes_no, right) and yes_no(answer) is not None if kind == "yes_no" else alike
    best = max(token_f1(answer, each) for each in right)
    return Judged(kind, answer, answer in right, alike, best, hit, form)


def yes_no(text: str) -> str | None:
    """By its first word, as models like to go on: `Yes, there is one`. None where that is neither."""
    first = normalised(text).partition(" ")[0]
    return first if first in ("yes", "no") else None


def counts(answers: Sequence[Judged]) -> dict[str, float]:
    """Of the answers to one picture: numbers that add up over pictures."""
    closed = [each for each in answers if each.kind == "yes_no"]
    free = [each for each in answers if each.kind == "open"]
    return {
        "answers": len(answers),
        "right": sum(each.right for each in answers),
        "well_formed": sum(each.well_formed for each in answers),
        "unparsable": sum(each.answer is None for each in answers),
        "yes_no": len(closed),
        "yes_no_right": sum(each.right for each in closed),
        "open": len(free),
        "open_exact": sum(each.exact for each in free),
        "open_normalised": sum(each.normalised for each in free),
        "open_f1": sum(each.token_f1 for each in free),
    }


def rates(of: Counts) -> dict[str, np.ndarray]:
    return {
        "accuracy": share(of["right"], of["answers"]),
        "format": share(of["well_formed"], of["answers"]),
        "unparsable": share(of["unparsable"], of["answers"]),
        "yes_no/accuracy": share(of["yes_no_right"], of["yes_no"]),
        "open/exact": share(of["open_exact"], of["open"]),
        "open/normalised": share(of["open_normalised"], of["open"]),
        "open/token_f1": share(of["open_f1"], of["open"]),
    }
