"""One question about one picture with its answers, from a table or from JSON beside a folder of pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from prospect.conversation.sample import Turn
from prospect.conversation.tags import TAGS
from prospect.data.element.rows import Fault, locate
from prospect.data.users.rows import conversation

ACCEPTED = "{image, question, answer}, the answer a text, a number or a list of such"
PICTURES = ("image", "images")
ANSWERS = ("answer", "answers")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class Question:
    """The words of a row. `answers` are all that it has, the first of them its own; `columns` is all the rest."""

    text: str
    answers: tuple[str, ...]
    columns: dict[str, Any]

    @property
    def kind(self) -> str:
        return "yes_no" if self.answers[0].strip(" .").casefold() in ("yes", "no") else "open"


@dataclass(frozen=True)
class Gallery:
    """The folder in which the pictures of JSON rows lie, anywhere below, under names that may lack their suffix."""

    folder: Path

    def path(self, written: str) -> str:
        """The picture's path; what was written where there is none, so that the finding shows it."""
        if locate(written, self.folder)[1]:
            return written
        found = self._by_name.get(Path(written).name) or self._by_name.get(Path(written).stem, [])
        if len(found) > 1:
            raise Fault("missing-picture", f"{written!r} may be {found[0]} or {found[1]}: write which")
        return str(found[0]) if found else written

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        """By whole name, and by name without suffix."""
        names: dict[str, list[Path]] = {}
        for file in sorted(self.folder.rglob("*")):
            if file.suffix.lower() in SUFFIXES:
                names.setdefault(file.name, []).append(file)
                names.setdefault(file.stem, []).append(file)
        return names


def question(value: Any) -> Question:
    if not isinstance(value, dict):
        raise Fault("unknown-schema", f"is a {type(value).__name__}; accepted is {ACCEPTED}")
    text = value.get("question")
    if not isinstance(text, str) or not text.strip():
        raise Fault("empty-question", f"question must be a text, not {text!r:.60}")
    answers = _answers(value[_one(value, ANSWERS)])
    return Question(text.strip(), answers, columns(value, ("question", *PICTURES, *ANSWERS)))


def shown(value: Mapping[str, Any], text: str, pictures: Gallery) -> Turn:
    """What the user asks, behind the row's one picture."""
    image = value[_one(value, PICTURES)]
    if isinstance(image, list):
        if len(image) != 1:
            raise Fault("image-count", f"has {len(image)} pictures, and a question is about one")
        (image,) = image
    image = pictures.path(image) if isinstance(image, str) else image
    asked = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}
    answered = {"role": "assistant", "content": "-"}  # stands for what comes later
    return conversation({"messages": [asked, answered], "images": [image]}, pictures.folder)[0]


def _one(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    there = [name for name in names if row.get(name) is not None]
    if len(there) != 1:
        found = " and ".join(there) or f"the columns {', '.join(sorted(map(str, row)))}"
        raise Fault("unknown-schema", f"has {found}; accepted is {ACCEPTED}")
    return there[0]


def _answers(given: Any) -> tuple[str, ...]:
    """Each once, in the order of the row."""
    listed = given if isinstance(given, list) else [given]
    if any(isinstance(each, bool) or not isinstance(each, str | int | float) for each in listed):
        raise Fault("unknown-schema", f"the answer must be a text, a number or a list of such, not {given!r:.60}")
    texts = tuple(dict.fromkeys(str(each).strip() for each in listed))
    if not texts or not all(texts):
        raise Fault("empty-answer", "an answer is empty: there is nothing to learn and nothing to compare with")
    if any(tag in text for text in texts for tag in TAGS):
        raise Fault("tags-in-answer", f"an answer holds one of {', '.join(TAGS)}, which mark where an answer begins")
    return texts


def columns(row: Mapping[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    """What else a row has, for rewards; each must be something that JSON can hold."""
    rest = {str(key): value for key, value in row.items() if key not in known}
    for key, value in rest.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise Fault("odd-column", f"the column {key!r} holds what JSON cannot: {error}") from error
    return rest
