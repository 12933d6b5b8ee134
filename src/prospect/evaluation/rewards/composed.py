"""The rewards of a run, by name and weight, as TRL takes them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from prospect.data.dataset import Dataset
from prospect.errors import UserError
from prospect.evaluation.rewards.answers import AnswerFormat, choice, exact, normalised, number, token_f1
from prospect.evaluation.rewards.form import format, length
from prospect.evaluation.rewards.judged import Asking, JudgeReward
from prospect.evaluation.rewards.part import Part
from prospect.evaluation.rewards.selftest import selftest
from prospect.evaluation.rewards.written import KEY, Function, written
from prospect.own import is_own

BY_ANSWER: dict[str, Function] = {f.__name__: f for f in (exact, normalised, token_f1, number, choice)}
BY_FORM = ("format", "length")
JUDGE = "judge"
USUAL = {"format": 0.2, "normalised": 0.8}
COUNTED = ("judged", "failed", "lost_groups")


@dataclass(frozen=True)
class Rewards:
    """A completion's reward is the sum of what the functions give, each times its weight.

    None is no reward of 0. TRL sums what is left, and a failed judgement would count as the lowest: so whatever the
    judge fails on gets None from every function, and TRL leaves it out of its group, with an advantage of 0. A None of
    the user's own functions stays what it is to TRL: this reward does not apply.
    """

    parts: Sequence[Part]
    answer_format: AnswerFormat = "think"
    judge: JudgeReward | None = None

    @cached_property
    def functions(self) -> list[Function]:
        counts = any(part.name == JUDGE and part.weight for part in self.parts)
        return [_for_trl(part, self.judge if counts else None) for part in self.parts]

    @property
    def weights(self) -> list[float]:
        return [part.weight for part in self.parts]

    def check(self, data: Dataset) -> None:
        """Whether they can tell right from wrong on these data; UserError says which cannot, and where."""
        selftest(self.parts, data, self.answer_format)
        if self.judge:
            self.judge.counts.clear()
            self.judge.knock()

    def counts(self) -> dict[str, int]:
        """Of a judge, until now and in this process, evaluations included: what was judged, what failed, and groups
        with nothing left."""
        return {name: self.judge.counts[name] for name in COUNTED} if self.judge else {}

    def facts(self) -> dict[str, Any]:
        """For the run's manifest."""
        files = {part.written.spelt: part.written.own.sha256 for part in self.parts if part.written}
        told = {"weights": {part.name: part.weight for part in self.parts}, "answer_format": self.answer_format}
        return told | ({"files": files} if files else {}) | ({"judge": self.judge.facts()} if self.judge else {})


def rewards(
    weights: dict[str, float] | None = None,
    answer_format: AnswerFormat = "think",
    longest: int = 500,
    judge: Asking | None = None,
) -> Rewards:
    """`weights`: by the name of a reward or by FILE.py:FUNCTION; 0 is only recorded. None: the form and the answer."""
    weights = USUAL if weights is None else weights
    if longest < 1:
        raise UserError(f"trainer.rewards.longest={longest} must be at least 1")
    known: dict[str, Function] = {name: partial(f, answer_format=answer_format) for name, f in BY_ANSWER.items()}
    known |= {"format": format, "length": partial(length, longest=longest)}
    judging = (judge or Asking()).reward(os.environ, answer_format) if JUDGE in weights else None
    known |= {JUDGE: judging} if judging else {}
    by_answer = {*BY_ANSWER, JUDGE} if judging and not judging.judge else {*BY_ANSWER}  # a rule knows it too
    parts = [_part(name, weight, known, by_answer) for name, weight in weights.items()]
    _refuse(parts, answer_format)
    return Rewards(parts, answer_format, judging)


def _part(name: str, weight: float, known: Mapping[str, Function], by_answer: set[str]) -> Part:
    if not math.isfinite(weight):
        raise UserError(f"{KEY}: the weight {weight} of {name} is no finite number")
    if is_own(name):
        mine = written(name)
        return Part(mine.name, weight, mine, "nothing", mine)
    if name not in known:
        names = ", ".join(dict.fromkeys([*known, JUDGE]))
        raise UserError(f"{KEY}: there is no reward {name}; there are {names} and FILE.py:FUNCTION")
    if weight < 0:
        raise UserError(f"{KEY}: {name} weighs {weight:g}: what it earns is good, so its weight is 0 or more")
    if name in BY_FORM:
        return Part(name, weight, known[name], "form")
    return Part(name, weight, known[name], "answer" if name in by_answer else "nothing")


def _refuse(parts: Sequence[Part], answer_format: AnswerFormat) -> None:
    names = [part.name for part in parts]
    if not any(part.weight for part in parts):
        raise UserError(f"{KEY}: no reward weighs anything, so there is nothing to learn")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{KEY}: two rewards would be logged as {twice[0]}; rename one of the files or functions")
    if "format" in names and answer_format == "plain":
        raise UserError(f"{KEY}: format asks for tags, and trainer.rewards.answer_format=plain for none")


def _for_trl(part: Part, judge: JudgeReward | None) -> Function:
    """A plain function: TRL logs by `__name__`, and hands over everything by name."""

    def reward(
        prompts: Sequence[str], completions: Sequence[str], completion_ids: Any = None, **columns: Any
    ) -> list[float | None]:
        scores = part.function(prompts=prompts, completions=completions, completion_ids=completion_ids, **columns)
        if judge is None:
            return scores
        judged = judge.scores(prompts, completions, columns)
        return [None if verdict is None else score for score, verdict in zip(scores, judged, strict=True)]

    reward.__name__ = part.name
    return reward
