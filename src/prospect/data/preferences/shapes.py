"""The shapes in which pairs of answers are published, each brought into one conversation and its other answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prospect.conversation.sample import Turn
from prospect.data.chats.shapes import whole
from prospect.data.element.rows import Fault
from prospect.data.users.rows import conversation

PROMPT = ("prompt", "question")
CHOSEN = ("chosen", "chosen_answer", "winner_answer")
REJECTED = ("rejected", "rejected_answer", "loser_answer")
ACCEPTED = (
    "{prompt, chosen, rejected}, or in their place question, chosen_answer or winner_answer, rejected_answer or "
    "loser_answer; each a text or a list of messages {role, content}, with image, images or neither"
)

Row = dict[str, Any]
Message = dict[str, Any]


def pair(row: Any, folder: Path) -> tuple[tuple[Turn, ...], str]:
    """The turns, the preferred answer last and alone learnt, and the other answer. A Fault where there is no pair."""
    if not isinstance(row, dict):
        raise Fault("unknown-schema", f"is a {type(row).__name__}; accepted are {ACCEPTED}")
    entry = {key: value for key, value in row.items() if value is not None}  # tables have every column in every row
    chosen, rejected = (_messages(_column(entry, names), "assistant") for names in (CHOSEN, REJECTED))
    before = _prompt(entry, chosen, rejected)
    won, lost = (_answer(messages[-1]) for messages in (chosen, rejected))
    if won.strip() == lost.strip():
        raise Fault("equal-pair", f"both answers are {won.strip()!r:.80}: there is nothing to prefer")
    turns = conversation(whole([*before, {"role": "assistant", "content": won}], entry), folder)
    return (*(_read(turn) for turn in turns[:-1]), turns[-1]), lost


def _column(entry: Row, names: tuple[str, ...]) -> Any:
    there = [name for name in names if name in entry]
    if len(there) == 1:
        return entry[there[0]]
    if there:
        raise Fault("unknown-schema", f"has {' and '.join(there)}: leave all but one out, or choose by data.map")
    raise Fault(
        "unknown-schema",
        f"has the columns {', '.join(sorted(map(str, entry)))}; accepted are {ACCEPTED}. Another shape is brought "
        "into it by a function of yours: data.map=FILE.py:FUNCTION",
    )


def _messages(value: Any, role: str) -> list[Message]:
    """A text is one message of this role."""
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if not isinstance(value, list) or not value or not all(isinstance(message, dict) for message in value):
        raise Fault("unknown-schema", f"must be a text or a list of messages {{role, content}}, not {value!r:.60}")
    return value


def _prompt(entry: Row, chosen: list[Message], rejected: list[Message]) -> list[Message]:
    """What both answers follow: the prompt's column, or what the two have in common where they are conversations."""
    if len(chosen) == len(rejected) == 1:
        return _messages(_column(entry, PROMPT), "user")
    if len(chosen) != len(rejected) or any(map(_differ, chosen[:-1], rejected[:-1])):
        raise Fault("unknown-schema", "chosen and rejected must be the same up to one answer each, at their ends")
    if chosen[0].get("role") != "assistant":  # whole conversations, a prompt's column repeats their beginning
        return chosen[:-1]
    raise Fault("unknown-schema", "chosen and rejected must be one answer each, not several turns")


def _differ(one: Message, other: Message) -> bool:
    return any(one.get(key) != other.get(key) for key in ("role", "content"))


def _answer(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, list) and all(_is_text(part) for part in content):
        content = "".join(part["text"] for part in content)
    if message.get("role") != "assistant" or not isinstance(content, str):
        raise Fault("unknown-schema", f"an answer must be a text of the assistant, not {message!r:.80}")
    if not content.strip():
        raise Fault("empty-answer", "one of the answers is empty")
    return content


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _read(turn: Turn) -> Turn:
    """What was said before both answers is context."""
    return Turn(turn.role, turn.parts, learn=turn.role != "assistant", kind=turn.kind)
