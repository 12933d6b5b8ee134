"""Class names in running text: reading an answer back, and seeing where a prompt gives one away."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence


def label_of(text: str, labels: Sequence[str]) -> str | None:
    """The one label that an answer names, as a whole word in any case. None where it names none, or several.

    `label: explanation` is the descriptive form: its head decides, whatever the explanation mentions.
    """
    head, colon, _ = text.partition(":")
    if colon:
        named = _named(head, labels)
        if len(named) == 1 and head.strip().casefold() == named[0].casefold():
            return named[0]
    named = _named(text, labels)
    return named[0] if len(named) == 1 else None


def _named(text: str, labels: Sequence[str]) -> list[str]:
    return [label for label in labels if re.search(rf"(?<!\w){re.escape(label)}(?!\w)", text, re.IGNORECASE)]


def mentions(text: str, label: str) -> int:
    """How often a text has the label or a word that begins with it: `wooden` gives `wood` away, `island` not `land`."""
    return len(re.findall(rf"(?<!\w){re.escape(label)}", text, re.IGNORECASE))


def gives_away(text: str, label: str, labels: Sequence[str]) -> bool:
    """Whether a prompt favours its own answer. A list of all the options names each as often, and favours none."""
    return mentions(text, label) > min(mentions(text, other) for other in labels)


def nearest(word: str, names: Sequence[str]) -> str | None:
    """The name a user most likely meant."""
    close = difflib.get_close_matches(word.strip().casefold(), names, n=1, cutoff=0.5)
    return close[0] if close else None
