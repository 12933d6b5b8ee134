"""The shapes in which conversations are published, each recognised by its columns and brought into one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prospect.data.element.rows import ROLES, Fault
from prospect.data.users.rows import MARKER

ACCEPTED = (
    "{texts: [{user, assistant}, …]}, {conversations: [{from, value}, …]}, {messages: [{role, content}, …]}, "
    "{prompt, completion}, each with image, images or neither"
)
PREFERRED = {"chosen", "rejected"}

Entry = dict[str, Any]


def in_one_shape(row: Any) -> Entry:
    """{messages: [{role, content}, …], images: […]}; a Fault where the row is of no known shape, or of several."""
    if not isinstance(row, dict):
        raise Fault("unknown-schema", f"is a {type(row).__name__}; accepted are {ACCEPTED}")
    entry = {key: value for key, value in row.items() if value is not None}  # tables have every column in every row
    there = [shape for shape in SHAPES if set(shape.split("+")) <= entry.keys()]
    if len(there) != 1:
        raise Fault("unknown-schema", _unknown(entry, there))
    messages = SHAPES[there[0]](entry)
    return whole(messages, entry)


def whole(messages: list[Any], entry: Entry) -> Entry:
    """Messages with the system turn and the pictures that other columns of their row have."""
    if isinstance(system := entry.get("system"), str) and _role(messages[:1]) != "system":
        messages = [{"role": "system", "content": system}, *messages]
    images = _images(entry)
    return {"messages": _placed(messages, len(images)), "images": images}


def _role(messages: list[Any]) -> Any:
    """Of the first one, if it has any."""
    return messages[0].get("role") if messages and isinstance(messages[0], dict) else None


def _unknown(entry: Entry, there: list[str]) -> str:
    if there:
        return f"is of several shapes at once ({', '.join(there)}): leave all but one out, or choose by data.map"
    hint = "; chosen and rejected are what data=preferences reads" if entry.keys() >= PREFERRED else ""
    return (
        f"has the columns {', '.join(sorted(map(str, entry)))}; accepted are {ACCEPTED}. Another shape is brought "
        f"into one of them by a function of yours: data.map=FILE.py:FUNCTION{hint}"
    )


def _images(entry: Entry) -> list[Any]:
    """`image` is one, or a list as `images` is."""
    given = [key for key in ("image", "images") if key in entry]
    if len(given) == 2:
        raise Fault("unknown-schema", "has both image and images: leave one of them out")
    value = entry[given[0]] if given else []
    return list(value) if isinstance(value, list | tuple) else [value]


def _texts(entry: Entry) -> list[Entry]:
    messages = []
    for pair in _list(entry, "texts"):
        if not isinstance(pair, dict) or not {"user", "assistant"} <= pair.keys():
            raise Fault("unknown-schema", f"texts must hold {{user, assistant}}, not {pair!r:.80}")
        messages += [{"role": role, "content": pair[role]} for role in ("user", "assistant")]
    return messages


def _conversations(entry: Entry) -> list[Entry]:
    return [_said(turn) for turn in _list(entry, "conversations")]


def _said(turn: Any) -> Entry:
    """ShareGPT's own words for roles; role and content are accepted in their place."""
    if not isinstance(turn, dict):
        raise Fault("unknown-schema", f"a turn must be {{from, value}}, not {turn!r:.80}")
    role, content = ((turn.get(key) if turn.get(key) is not None else turn.get(other)) for key, other in NAMES)
    if role not in ROLES:
        raise Fault("unknown-schema", f"unknown speaker {role!r:.60}; accepted are {', '.join(ROLES)}")
    return {"role": ROLES[role], "content": content}


NAMES = (("from", "role"), ("value", "content"))


def _messages(entry: Entry) -> list[Entry]:
    return list(_list(entry, "messages"))


def _completed(entry: Entry) -> list[Entry]:
    """Either side is a text, or a list of messages."""
    sides = [(entry["prompt"], "user"), (entry["completion"], "assistant")]
    return [m for value, role in sides for m in (value if isinstance(value, list) else [_message(role, value)])]


def _message(role: str, content: Any) -> Entry:
    return {"role": role, "content": content}


def _list(entry: Entry, key: str) -> list[Any]:
    if not isinstance(entry[key], list) or not entry[key]:
        raise Fault("unknown-schema", f"{key} must be a list of turns, not {entry[key]!r:.60}")
    return entry[key]


SHAPES: dict[str, Callable[[Entry], list[Entry]]] = {
    "texts": _texts,
    "conversations": _conversations,
    "messages": _messages,
    "prompt+completion": _completed,
}


def _placed(messages: list[Any], pictures: int) -> list[Any]:
    """Where the users' texts have one `<image>` for every picture, these are the places; all others are words."""
    texts = [m["content"] for m in messages if _is_users_text(m)]
    if not pictures or sum(text.count(MARKER) for text in texts) != pictures:
        return messages
    return [m | {"content": _parts(m["content"])} if _is_users_text(m) else m for m in messages]


def _is_users_text(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == "user" and isinstance(message.get("content"), str)


def _parts(text: str) -> list[Entry]:
    """Blanks and newlines that only set a placeholder off at either end of a text are none of its words."""
    pieces = text.split(MARKER)
    parts: list[Entry] = []
    for number, piece in enumerate(pieces):
        parts += [{"type": "image"}] if number else []
        words = piece.lstrip() if number and not "".join(pieces[:number]).strip() else piece
        words = words.rstrip() if number < len(pieces) - 1 and not "".join(pieces[number + 1 :]).strip() else words
        parts += [{"type": "text", "text": words}] if words.strip() else []
    return parts or [{"type": "text", "text": ""}]
