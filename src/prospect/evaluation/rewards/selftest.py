"""Before training: do gold answers earn the most there is to earn, and does junk earn less?

Only rewards that know the answer or the form can be asked that. A judge is asked nothing here. A function of the user's
own is called on both and must give finite numbers; what it gives is said, for its author alone knows what is right.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from prospect.conversation.sample import Sample
from prospect.conversation.tags import TAGS, answer_of, tagged
from prospect.data.dataset import Dataset
from prospect.errors import UserError
from prospect.evaluation.rewards.answers import CHOICES, GOLD, AnswerFormat
from prospect.evaluation.rewards.part import Part
from prospect.evaluation.rewards.rows import Rows, completed, gold_answers, pictures, rewarded, rows
from prospect.evaluation.rewards.written import KEY, Written

log = logging.getLogger(__name__)

TRIED = 64  # samples that junk and functions of the user's own are tried on
WORD = "zxqv"  # of no language
JUNK = (
    "",
    " \n\t",
    WORD,
    "\x00" * 8,
    "".join(TAGS) * 2,
    f"<think><think></think><answer><answer>{WORD}</answer></answer>",
    f"{tagged(WORD)}{tagged(WORD)}",
    f"Well: {tagged(WORD)}",
)


def selftest(parts: Sequence[Part], data: Dataset, answer_format: AnswerFormat) -> None:
    samples = rewarded(data)
    own = [part.written for part in parts if part.written]
    for each in own:
        each.check_columns(list(samples[0].meta["columns"]))
    _check_format(samples, answer_format)
    knowing = [part for part in parts if part.knows != "nothing"]
    by_answer = [part.name for part in knowing if part.knows == "answer"]
    if by_answer:
        _check_gold(samples, by_answer)
        _gold_earns_all(samples, knowing, answer_format)
    elif any(part.name == "judge" for part in parts):  # it goes by gold answers where there are any
        for sample in samples:
            _gold_of(sample, "trainer.rewards: judge reads gold answers")
    if any(part.weight for part in knowing):
        _junk_earns_less(samples[:TRIED], [part for part in knowing if part.weight])
    for each in own:
        _try(each, samples[:TRIED], answer_format)


def _check_format(samples: Sequence[Sample], answer_format: AnswerFormat) -> None:
    """Of samples with an answer to learn: what a supervised training before this one was given."""
    for sample in samples:
        last = sample.turns[-1]
        if last.role == "assistant" and last.learn and (answer_of(last.text) is None) == (answer_format == "think"):
            other = "plain" if answer_format == "think" else "think"
            raise UserError(
                f"trainer.rewards.answer_format={answer_format}, and the answer of sample {sample.id} is written "
                f"{other}: give data.answer_format and trainer.rewards.answer_format the same value"
            )


def _check_gold(samples: Sequence[Sample], names: Sequence[str]) -> None:
    needs = f"trainer.rewards: {' and '.join(names)} {'compares' if len(names) == 1 else 'compare'} with gold answers"
    columns = list(samples[0].meta["columns"])
    if not set(GOLD) & set(columns):
        has = f"they have {', '.join(columns)}" if columns else "they have none"
        raise UserError(f"{needs}, and the data have no column answer or answers ({has})")
    for sample in samples:
        if not _gold_of(sample, needs):
            raise UserError(f"{needs}, and sample {sample.id} has none; leave it out of the data")
        choices = sample.meta["columns"].get(CHOICES)
        if "choice" in names and not (choices is None or _are_texts(choices)):
            raise UserError(f"{needs}, and the column {CHOICES} of sample {sample.id} is no list of texts")


def _gold_of(sample: Sample, needs: str) -> list[str]:
    try:
        return gold_answers(sample)
    except UserError as error:
        raise UserError(f"{needs}, and in sample {sample.id} {error}") from error


def _are_texts(choices: Any) -> bool:
    return isinstance(choices, list | tuple) and all(isinstance(each, str) for each in choices)


def _gold_earns_all(samples: Sequence[Sample], parts: Sequence[Part], answer_format: AnswerFormat) -> None:
    """At least one gold answer of each sample gets 1 of every reward at once."""
    golds = [gold_answers(sample) for sample in samples]
    owners = [sample for sample, mine in zip(samples, golds, strict=True) for _ in mine]
    full = iter(_full(rows(owners, [completed(gold, answer_format) for mine in golds for gold in mine]), parts))
    for sample, mine in zip(samples, golds, strict=True):
        earned = np.array([next(full) for _ in mine])  # (its gold answers, rewards)
        for place, part in enumerate(parts):
            if not earned[:, place].any():
                raise UserError(_unreadable(part, sample.id, mine[0]))
        if not earned.all(1).any():
            names = " and ".join(part.name for part in parts)
            raise UserError(f"trainer.rewards: no gold answer of sample {sample.id} satisfies {names} at once")


def _unreadable(part: Part, sample: str, gold: str) -> str:
    shown = repr(gold) if len(repr(gold)) <= 80 else repr(gold)[:77] + "..."
    why = {
        "number": "holds no number, or several",
        "choice": f"is no single letter and none of the column {CHOICES}",
        "length": "is longer than trainer.rewards.longest allows",
    }.get(part.name, "cannot stand between tags")
    return f"trainer.rewards: {part.name} can never be earned in sample {sample}: its gold answer {shown} {why}"


def _junk_earns_less(samples: Sequence[Sample], parts: Sequence[Part]) -> None:
    for junk in JUNK:
        full = _full(rows(samples, [junk] * len(samples)), parts).all(1)
        if full.any():
            names = " and ".join(part.name for part in parts)
            raise UserError(
                f"{KEY}: {names} would give all they have to {junk!r} (sample {samples[int(full.argmax())].id}); "
                "add a reward that knows the answer or the form"
            )


def _full(of: Rows, parts: Sequence[Part]) -> np.ndarray:
    """(rows, rewards) whether a reward gives 1, its most."""
    given = [part.function(prompts=of.prompts, completions=of.completions, **of.columns) for part in parts]
    return np.array([[score == 1 for score in scores] for scores in given], bool).T


def _try(own: Written, samples: Sequence[Sample], answer_format: AnswerFormat) -> None:
    """On gold answers where there are any, and on junk."""
    pairs = [(sample, completed(gold, answer_format)) for sample in samples for gold in _readable(sample)]
    best, junk = _mean(own, pairs), _mean(own, [(sample, text) for sample in samples for text in JUNK])
    if best is None or junk is None:
        log.info("reward %s: only its author knows what is right; junk gets %s on average", own.name, _shown(junk))
        return
    level = logging.INFO if junk < best and not math.isclose(junk, best) else logging.WARNING
    log.log(level, "reward %s: gold answers get %s on average, junk %s", own.name, _shown(best), _shown(junk))


def _readable(sample: Sample) -> list[str]:
    """A function of the user's own may understand answers that no other reward does."""
    try:
        return gold_answers(sample)
    except UserError:
        return []


def _mean(own: Written, pairs: Sequence[tuple[Sample, str]]) -> float | None:
    from transformers import TrainerState

    if not pairs:
        return None
    asked, texts = zip(*pairs, strict=True)
    of = rows(asked, texts)
    given = {"trainer_state": TrainerState(), "log_extra": _nothing, "log_metric": _nothing}
    given |= {"images": pictures(asked), "sample_id": [sample.id for sample in asked]}
    scores = own(of.prompts, of.completions, [[] for _ in texts], **given, **of.columns)
    known = [score for score in scores if score is not None]
    return math.fsum(known) / len(known) if known else None


def _shown(mean: float | None) -> str:
    return "nothing" if mean is None else f"{mean:.3g}"


def _nothing(*_: Any) -> None:
    """Where there is no trainer yet that would log it."""
