"""The tags in which a model writes what it thinks and what it answers: `<think>…</think><answer>…</answer>`."""

from __future__ import annotations

TAGS = ("<think>", "</think>", "<answer>", "</answer>")


def tagged(answer: str, thought: str = "") -> str:
    return f"<think>{thought}</think><answer>{answer}</answer>"


def answer_of(text: str) -> str | None:
    """What stands between the answer tags, without the blanks around it. None where a tag is missing or stands twice,
    so that nobody has to choose among several answers, and where nothing is answered."""
    if text.count("<answer>") != 1 or text.count("</answer>") != 1:
        return None
    answer, closed, _ = text.partition("<answer>")[2].partition("</answer>")
    return (answer.strip() or None) if closed else None


def well_formed(text: str) -> bool:
    """A thought and then an answer, each tag once, and nothing but blanks before, between and behind them.

    The thought may be empty, the answer may not.
    """
    if any(text.count(tag) != 1 for tag in TAGS):
        return False
    before, _, rest = text.partition("<think>")
    _, _, rest = rest.partition("</think>")
    between, _, rest = rest.partition("<answer>")
    answer, _, behind = rest.partition("</answer>")
    return bool(answer.strip()) and not any(part.strip() for part in (before, between, behind))
