"""One reward of a run, and what a self-test may ask of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prospect.evaluation.rewards.written import Function, Written


@dataclass(frozen=True)
class Part:
    """`knows`: of one that knows the `answer` or the `form` gold answers earn exactly 1 and junk does not; what a
    judge or a function of the user's own gives to either, nobody can tell beforehand (`nothing`)."""

    name: str
    weight: float
    function: Function
    knows: Literal["answer", "form", "nothing"]
    written: Written | None = None
