"""A command line in the making: overrides in their order, and what is to be said about the old keys."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import Any

PLAIN = r"[\w./+-]+"  # what Hydra reads as it stands
WORDS = {"null", "true", "false", "yes", "no", "on", "off", "nan", "inf"}  # what Hydra would take for something else


@dataclass
class Line:
    words: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def put(self, key: str, value: Any) -> None:
        self.words[key] = spelt(value)

    def say(self, key: str, text: str) -> None:
        self.notes.append(f"{key}: {text}")

    @property
    def overrides(self) -> list[str]:
        return [f"{key}={value}" for key, value in self.words.items()]

    def __str__(self) -> str:
        return " ".join(["python train.py", *map(quoted, self.overrides)])


def spelt(value: Any) -> str:
    """A value in the grammar of Hydra's command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(spelt, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{_key(key)}:{spelt(each)}' for key, each in value.items())}}}"
    text = str(value)
    if re.fullmatch(PLAIN, text) and text.casefold() not in WORDS:
        return text
    return "'" + text.replace("\\'", "\\\\'").replace("'", "\\'") + "'"


def _key(name: Any) -> str:
    return re.sub(r"([^\w./+-])", r"\\\1", str(name))


def quoted(word: str) -> str:
    """For a shell. Double quotes where they will do: the single ones are Hydra's."""
    return f'"{word}"' if "'" in word and not re.search(r'["$`\\!]', word) else shlex.quote(word)
