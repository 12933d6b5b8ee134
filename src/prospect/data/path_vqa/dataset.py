"""Questions about pictures with short answers, as Path-VQA has them: one row is a picture, a question, an answer.

A question may stand there several times with one picture and differing answers: each of them is right, and all are
told to whoever scores.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.data.answer_format import THOUGHT, AnswerFormat, Format
from prospect.data.chats.audit import Row
from prospect.data.chats.read import Source, read
from prospect.data.dataset import Dataset
from prospect.data.findings import Finding
from prospect.data.fingerprint import fingerprint
from prospect.data.path_vqa.rows import Gallery, question, shown
from prospect.data.users.audit import Digests, sources
from prospect.data.users.dataset import blanked
from prospect.errors import UserError

PLAIN = "Answer with a few words."
THINKING = 256  # tokens that reasoning may take in evaluation

Asked = tuple[str, ...]  # a question, and the digest of its picture


def path_vqa(
    path: str = "flaviagiammarino/path-vqa",
    images: str | None = None,
    take: int | None = None,
    map: str | None = None,
    resize: int | None = None,
    answer_format: Format = "think",
    instruction: str | None = None,
    system: str | None = None,
    reason: str | None = None,
    thought: str = THOUGHT,
    answer_tokens: int | None = None,
    val_share: float = 0.1,
    test_share: float = 0.1,
    on_bad: Literal["fail", "skip"] = "fail",
    blank_images: bool = False,
    seed: int = 0,
) -> Dataset:
    """What is not held out by the source's own splits is drawn by pictures."""
    worded = PLAIN if instruction is None and answer_format == "plain" else instruction
    form = AnswerFormat(answer_format, worded, reason, thought)
    for key, value in (("resize", resize), ("answer_tokens", answer_tokens)):
        if value is not None and value < 1:
            raise UserError(f"data.{key}={value}: must be at least 1, or null")
    source = Source(path, None, None, {}, map, None, val_share, test_share, on_bad, seed, take)
    found = read(source, _turned(form, system, resize, _folder(images)), "question")
    answers = right_answers(found.rows, found.digests)
    splits = found.samples(lambda row: _sample(row, answers[row.where], blank_images))
    known: dict[Any, str] = dict(found.digests)
    return Dataset(
        name="path_vqa",
        task="questions",
        splits=splits,
        findings=[*found.findings, *_contradictions(found.rows, answers)],
        fingerprint=fingerprint(splits, lambda picture: known[picture.source]),
        answer_format=answer_format,
        answer_tokens=answer_tokens or (THINKING if answer_format == "think" else None),
        notes=found.notes(splits) | {"questions": {name: counts(samples) for name, samples in splits.items()}},
    )


def counts(samples: Sequence[Sample]) -> dict[str, int]:
    """How many questions there are of each kind, and how many with several right answers."""
    kinds = Counter(sample.turns[-1].kind for sample in samples)
    several = sum(len(sample.meta["columns"]["answers"]) > 1 for sample in samples)
    return {"yes_no": kinds["yes_no"], "open": kinds["open"], "several_answers": several}


def _folder(images: str | None) -> Path | None:
    if images is None:
        return None
    folder = Path(images).expanduser().resolve()
    if not folder.is_dir():
        raise UserError(f"data.images={images}: there is no such folder")
    return folder


def _turned(
    form: AnswerFormat, system: str | None, edge: int | None, images: Path | None
) -> Callable[[dict[str, Any], Path], tuple[tuple[Turn, ...], None]]:
    opening = (Turn("system", (system,)),) if system else ()
    galleries: dict[Path, Gallery] = {}

    def turned(value: dict[str, Any], folder: Path) -> tuple[tuple[Turn, ...], None]:
        one = question(value)
        pictures = galleries.setdefault(folder, Gallery(images or folder))
        asked = form.asked(scaled(shown(value, one.text, pictures), edge))
        return (*opening, asked, Turn("assistant", (form.answered(one.answers[0], one.columns),), kind=one.kind)), None

    return turned


def scaled(turn: Turn, edge: int | None) -> Turn:
    parts = (replace(part, edge=edge) if isinstance(part, Picture) else part for part in turn.parts)
    return replace(turn, parts=tuple(parts))


def right_answers(rows: Sequence[Row], digests: Digests) -> dict[str, list[str]]:
    """By row all answers that its question has anywhere with the same picture, its own first."""
    own = {row.where: question(row.value).answers for row in rows}
    asked = {row.where: _asked(row, digests) for row in rows}
    right: dict[Asked, dict[str, None]] = defaultdict(dict)
    for where, key in asked.items():
        right[key] |= dict.fromkeys(own[where])
    return {where: list(dict.fromkeys((*own[where], *right[key]))) for where, key in asked.items()}


def _asked(row: Row, digests: Digests) -> Asked:
    """The same for the same question to the same picture, however it is spaced and capitalised."""
    words = question(row.value).text.casefold().split()
    return (" ".join(words), *(digests[source] for source in sources(row.pictures)))


def _contradictions(rows: Sequence[Row], answers: Mapping[str, list[str]]) -> Iterator[Finding]:
    """A question that is answered both yes and no: whatever is said to it counts as right."""
    both = [row for row in rows if {"yes", "no"} <= {each.strip(" .").casefold() for each in answers[row.where]}]
    for split, count in Counter(row.split for row in both).items():
        first = next(row.where for row in both if row.split == split)
        message = f"{count} questions are answered yes and no with the same picture, such as {first}: either is right"
        yield Finding("contradiction", "warning", split, "", message)


def _sample(row: Row, answers: list[str], blank: bool) -> Sample:
    turns = tuple(blanked(turn) if blank else turn for turn in row.turns)
    one = question(row.value)
    columns = one.columns | {"question": one.text, "answer": one.answers[0], "answers": answers}
    return Sample(row.where, turns, {"where": row.where, "columns": columns})
