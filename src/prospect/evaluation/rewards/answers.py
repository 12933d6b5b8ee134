"""Rewards for a right answer: the completion's against the columns `answer` and `answers` of its row.

Every gold answer of a row counts, a list as well as a text; a completion earns what it earns from the best of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from prospect.conversation.tags import answer_of
from prospect.errors import UserError
from prospect.evaluation.matching import normalised as words_of
from prospect.evaluation.matching import token_f1 as shared_words

AnswerFormat = Literal["think", "plain"]

GOLD = ("answer", "answers")
CHOICES = "choices"
_NUMBER = re.compile(r"(?<![\w.,])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?!\w|[.,]\d)")
_LONGEST = 40  # digits and marks; nobody counts further
_LETTER = re.compile(r"\(?([A-Za-z])[).:]?")
_LETTER_AND_TEXT = re.compile(r"\(?([A-Za-z])[).:]\s*(\S.*)", re.S)


def exact(
    prompts: Sequence[str],
    completions: Sequence[str],
    completion_ids: Any = None,
    answer_format: AnswerFormat = "think",
    **columns: Any,
) -> list[float | None]:
    """1 for an answer that is, letter by letter, one of the gold answers."""
    return _each(completions, columns, answer_format, lambda answer, gold: float(answer == gold.strip()))


def normalised(
    prompts: Sequence[str],
    completions: Sequence[str],
    completion_ids: Any = None,
    answer_format: AnswerFormat = "think",
    **columns: Any,
) -> list[float | None]:
    """1 for an answer that is one of the gold answers but for case, width, spaces and marks around words."""
    return _each(completions, columns, answer_format, lambda answer, gold: float(words_of(answer) == words_of(gold)))


def token_f1(
    prompts: Sequence[str],
    completions: Sequence[str],
    completion_ids: Any = None,
    answer_format: AnswerFormat = "think",
    **columns: Any,
) -> list[float | None]:
    """The share of words that an answer has in common with a gold answer."""
    return _each(completions, columns, answer_format, shared_words)


def number(
    prompts: Sequence[str],
    completions: Sequence[str],
    completion_ids: Any = None,
    answer_format: AnswerFormat = "think",
    **columns: Any,
) -> list[float | None]:
    """1 for an answer that holds one number, of the value that a gold answer holds."""
    return _each(completions, columns, answer_format, _same_number)


def choice(
    prompts: Sequence[str],
    completions: Sequence[str],
    completion_ids: Any = None,
    answer_format: AnswerFormat = "think",
    **columns: Any,
) -> list[float | None]:
    """1 for the right one of several choices: its letter, or its text where the column `choices` has the texts."""
    texts = columns.get(CHOICES) or [None] * len(completions)
    rows = zip(answered(completions, answer_format), golds(columns, len(completions)), texts, strict=True)
    return [_best(answer, gold, _same_choice(choices)) for answer, gold, choices in rows]


def answered(completions: Sequence[str], answer_format: AnswerFormat) -> list[str | None]:
    """The answers that completions give: what stands in the tags, or all of a plain completion."""
    return [answer_of(text) if answer_format == "think" else text.strip() or None for text in completions]


def golds(columns: Mapping[str, Sequence[Any]], rows: int) -> list[list[str]]:
    """All gold answers of each row."""
    given = [columns[name] for name in GOLD if name in columns]
    return [list(dict.fromkeys(text for column in given for text in texts(column[row]))) for row in range(rows)]


def texts(value: Any) -> list[str]:
    """The answers of a cell: a text, a number, or a list of these; empty ones are none."""
    if isinstance(value, list | tuple):
        return [text for each in value for text in texts(each)]
    if value is None or (isinstance(value, str) and not value.strip()):
        return []
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [f"{value:.15g}"]
    if not isinstance(value, str):
        raise UserError(f"an answer is a text, a number or a list of these, not a {type(value).__name__}")
    return [value]


def number_of(text: str) -> Decimal | None:
    """The one number that a text holds; None where there is none or several."""
    found = _NUMBER.findall(text.replace("−", "-"))
    if len(found) != 1 or len(found[0]) > _LONGEST:
        return None
    return Decimal(found[0].replace(",", ""))


def choice_of(text: str, choices: Sequence[str] | None) -> int | None:
    """Which choice a text names, from 0: by letter, by its own text, or by both. None where they disagree."""
    named = set(_named(text.strip(), choices or ()))
    if len(named) != 1:
        return None
    (place,) = named
    return place if choices is None or place < len(choices) else None


def _named(text: str, choices: Sequence[str]) -> Iterator[int]:
    if letter := _LETTER.fullmatch(text):
        yield _place(letter[1])
    if (both := _LETTER_AND_TEXT.fullmatch(text)) and (of := _of_text(both[2], choices)):
        yield from [_place(both[1]), *of]
    yield from _of_text(text, choices)


def _of_text(text: str, choices: Sequence[str]) -> list[int]:
    return [place for place, each in enumerate(choices) if words_of(each) == words_of(text)]


def _place(letter: str) -> int:
    return ord(letter.upper()) - ord("A")


def _same_choice(choices: Sequence[str] | None) -> Callable[[str, str], float]:
    def same(answer: str, gold: str) -> float:
        wanted = choice_of(gold, choices)
        return float(wanted is not None and choice_of(answer, choices) == wanted)

    return same


def _same_number(answer: str, gold: str) -> float:
    wanted = number_of(gold)
    return float(wanted is not None and number_of(answer) == wanted)


def _each(
    completions: Sequence[str],
    columns: Mapping[str, Any],
    answer_format: AnswerFormat,
    score: Callable[[str, str], float],
) -> list[float | None]:
    rows = zip(answered(completions, answer_format), golds(columns, len(completions)), strict=True)
    return [_best(answer, gold, score) for answer, gold in rows]


def _best(answer: str | None, gold: Sequence[str], score: Callable[[str, str], float]) -> float | None:
    """None where nothing is known to be right; an answer that is missing is wrong."""
    if not gold:
        return None
    return 0.0 if answer is None else max(score(answer, each) for each in gold)
