"""Samples as TRL hands them to a reward: prompts, completions and the columns of their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from prospect.conversation.sample import Sample, Turn
from prospect.conversation.tags import tagged
from prospect.data.dataset import Dataset
from prospect.errors import UserError
from prospect.evaluation.rewards.answers import GOLD, AnswerFormat, golds
from prospect.evaluation.rewards.written import GIVEN

TASKS = ("questions", "prompts")
TAKEN = {*GIVEN, "prompt", "completion", "environments", "image"}


@dataclass(frozen=True)
class Rows:
    prompts: list[str]
    completions: list[str]
    columns: dict[str, list[Any]]


def rows(samples: Sequence[Sample], completions: Sequence[str]) -> Rows:
    """A completion a sample; a sample may stand there several times."""
    names = samples[0].meta["columns"] if samples else {}
    cells = {name: [sample.meta["columns"][name] for sample in samples] for name in names}
    return Rows([_question(sample) for sample in samples], list(completions), cells)


def pictures(samples: Sequence[Sample]) -> list[list[Image.Image]]:
    """Of each prompt, each opened once."""
    opened = {sample.id: [each.open() for turn in _asked(sample) for each in turn.pictures] for sample in samples}
    return [opened[sample.id] for sample in samples]


def gold_answers(sample: Sample) -> list[str]:
    cells = sample.meta["columns"]
    return golds({name: [cells[name]] for name in GOLD if name in cells}, 1)[0]


def completed(answer: str, answer_format: AnswerFormat) -> str:
    """What a model would write that answers so."""
    return tagged(answer) if answer_format == "think" else answer


def rewarded(data: Dataset) -> list[Sample]:
    """Every sample, whose columns are known to be the same."""
    if data.task not in TASKS:
        raise UserError(f"trainer.rewards: data={data.name} is of the task {data.task}, not {' or '.join(TASKS)}")
    if not data.splits["train"]:
        raise UserError(f"trainer.rewards: data={data.name} has nothing to train on")
    samples = [sample for split in ("train", "val", "test") for sample in data.splits[split]]
    names = set(samples[0].meta["columns"])
    for sample in samples:
        if differing := sorted(names ^ set(sample.meta["columns"])):
            raise UserError(
                f"trainer.rewards: the column {differing[0]} is in one of the samples {samples[0].id} and {sample.id} "
                "alone; give it to all or to none"
            )
    if taken := sorted(names & TAKEN):
        raise UserError(f"trainer.rewards: rewards are given {taken[0]} already; rename that column of the data")
    return samples


def _question(sample: Sample) -> str:
    """What a user said last; a conversation may also begin with the assistant."""
    users = [turn.text for turn in _asked(sample) if turn.role == "user"]
    return users[-1] if users else ""


def _asked(sample: Sample) -> tuple[Turn, ...]:
    """The turns before the answer that is to be learnt."""
    learnt = [place for place, turn in enumerate(sample.turns) if turn.role == "assistant" and turn.learn]
    return sample.turns[: learnt[-1]] if learnt else sample.turns
