"""One file a user: conversations with pictures, from JSON lines into rows. What cannot be used is a finding."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prospect.conversation.sample import Part, Picture, Role, Turn
from prospect.data.element.rows import Fault, locate
from prospect.data.findings import Finding
from prospect.errors import UserError

SHAPE = "{messages: [{role, content}, …], images: [path, …]}, content a text or parts {type: text|image, …}"
ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
MARKER = "<image>"
PICKLES = (".pkl", ".pickle")


@dataclass(frozen=True)
class Row:
    """One conversation of a user. `where` (file:line) is unique."""

    where: str
    user: int
    id: str
    turns: tuple[Turn, ...]

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(picture for turn in self.turns for picture in turn.pictures)


def user_of(name: str) -> int | None:
    """The user whose file this is: `user_7.jsonl`, `user-007.jsonl`, `7.jsonl`, and folders named so."""
    match = re.fullmatch(r"(?i)(?:user[ _-]?)?(\d+)", name)
    return int(match[1]) if match else None


def read_files(folder: Path, files: Iterable[tuple[int, Path]]) -> tuple[list[Row], list[Finding]]:
    """Every usable row of the files of JSON lines, and a finding for every line that is none."""
    rows: list[Row] = []
    findings: list[Finding] = []
    for user, file in files:
        for number, line in _lines(file):
            where = f"{file.name}:{number}"
            try:
                rows.append(row(_object(line), user, where, str(number), folder))
            except Fault as fault:
                findings.append(Finding(fault.kind, "error", "", "", f"{where}: {fault}"))
    return rows, findings


def files_of_users(folder: Path) -> tuple[dict[int, Path], list[Finding]]:
    """Files and `datasets` folders by user; what else lies there is said."""
    found: dict[int, Path] = {}
    unread = []
    for path in sorted(folder.iterdir()):
        is_data = path.suffix == ".jsonl" if path.is_file() else (path / "dataset_info.json").is_file()
        user = user_of(path.stem if path.is_file() else path.name) if is_data else None
        if user is None:
            unread += [path.name] if is_data or path.suffix in PICKLES else []
        elif user in found:
            raise UserError(f"data.folder={folder}: {found[user].name} and {path.name} are both of user {user}")
        else:
            found[user] = path
    if not found:
        raise UserError(f"data.folder={folder}: no file of any user in it, such as user_7.jsonl{_hint(unread)}")
    note = f"{', '.join(unread)} not read: not named after a user as user_7.jsonl is{_hint(unread)}"
    return found, [Finding("unread-file", "warning", "", "", note)] if unread else []


def _hint(unread: Iterable[str]) -> str:
    if any(name.endswith(PICKLES) for name in unread):
        return (
            "; python -m prospect.data.users.pickles FOLDER OUT turns pickles into such files and runs nothing of them"
        )
    return ""


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line.strip():
            yield number, line


def _object(line: bytes) -> Any:
    try:
        return json.loads(line.decode("utf-8"))
    except ValueError as error:  # not JSON, or not UTF-8
        raise Fault("bad-json", f"not a JSON object: {error}") from error


def row(entry: Any, user: int, where: str, number: str, folder: Path) -> Row:
    """`images` may hold paths, or what `datasets` keeps of a picture: {bytes, path}."""
    if not isinstance(entry, dict) or not isinstance(entry.get("messages"), list):
        found = f"has the keys {sorted(entry)}" if isinstance(entry, dict) else f"is a {type(entry).__name__}"
        raise Fault("unknown-schema", f"{found}; accepted is {SHAPE}")
    name = entry.get("id")
    return Row(where, user, f"{user}/{number if name is None else name}", conversation(entry, folder))


def conversation(entry: dict[str, Any], folder: Path) -> tuple[Turn, ...]:
    """The turns of `messages`, with the pictures of `images` and of parts where they belong."""
    album = Album([_picture(image, folder) for image in _listed(entry, "images")], folder)
    turns = tuple(_turn(message, album) for message in entry["messages"])
    _check_order([turn.role for turn in turns])
    return album.opening(turns)


def _listed(entry: dict[str, Any], key: str) -> list[Any]:
    value = entry.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Fault("unknown-schema", f"{key} must be a list, not {value!r:.60}")
    return value


class Album:
    """The pictures of a row, handed out in their order to the places that ask for one."""

    def __init__(self, pictures: list[Picture], folder: Path) -> None:
        self.pictures = pictures
        self.folder = folder
        self.taken = 0

    def next(self) -> Picture:
        if self.taken == len(self.pictures):
            raise Fault("image-count", f"the messages ask for more pictures than the {self.taken} of `images`")
        self.taken += 1
        return self.pictures[self.taken - 1]

    def opening(self, turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
        """Pictures that no message asks for open the first question; some asked for and some not is a mistake."""
        if self.taken == len(self.pictures):
            return turns
        if self.taken:
            count = len(self.pictures)
            raise Fault("image-count", f"{count} pictures in `images`, and the messages ask for {self.taken} of them")
        first = next(place for place, turn in enumerate(turns) if turn.role == "user")
        asked = Turn("user", (*self.pictures, *turns[first].parts), kind=turns[first].kind)
        return (*turns[:first], asked, *turns[first + 1 :])


def _picture(image: Any, folder: Path) -> Picture:
    if isinstance(image, dict):  # as `datasets` keeps one: its bytes, or where they are
        if isinstance(image.get("bytes"), bytes):
            return Picture(image["bytes"])
        image = image.get("path")
    if not isinstance(image, str) or not image.strip():
        raise Fault("missing-picture", f"a picture must be given by its path, not {image!r:.60}")
    file, base = locate(image.strip(), folder)
    if not base:
        raise Fault("missing-picture", f"there is no picture {image!r:.200}, looked for at {file}")
    return Picture(file)


def _turn(message: Any, album: Album) -> Turn:
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        role = message.get("role") if isinstance(message, dict) else message
        raise Fault("unknown-schema", f"unknown role {role!r:.60}; accepted are {', '.join(ROLES)}")
    role, content = ROLES[message["role"]], message.get("content")
    parts = _written(content, role, album) if isinstance(content, str) else _parts(content, album)
    if role == "assistant" and any(isinstance(part, Picture) for part in parts):
        raise Fault("unknown-schema", "an assistant turn has a picture; only what a user shows can be read")
    if role == "assistant" and not "".join(part for part in parts if isinstance(part, str)).strip():
        raise Fault("empty-answer", "an assistant turn is empty: there is nothing to learn and nothing to compare with")
    return Turn(role, tuple(parts), kind=_kind(message))


def _kind(message: dict[str, Any]) -> str:
    """What sort of question or answer it is, for rates of each: it becomes a part of their names."""
    kind = message.get("kind")
    if kind is None or (isinstance(kind, str) and "/" not in kind):
        return kind or ""
    raise Fault("unknown-schema", f"kind must be a text without /, not {kind!r:.60}")


def _written(content: str, role: Role, album: Album) -> list[Part]:
    """Placeholders at its head, or one at its tail, ask for pictures if there are any; others are words."""
    if role != "user" or not album.pictures:
        return [content]
    parts: list[Part] = []
    text = content
    while text.lstrip().startswith(MARKER):
        parts.append(album.next())
        text = text.lstrip()[len(MARKER) :].lstrip()
    if not parts and text.rstrip().endswith(MARKER):
        return [text.rstrip()[: -len(MARKER)].rstrip(), album.next()]
    return [*parts, text]


def _parts(content: Any, album: Album) -> list[Part]:
    if not isinstance(content, list) or not content:
        raise Fault(
            "unknown-schema", f"the content of a message must be a text or a list of parts, not {content!r:.60}"
        )
    return [_part(part, album) for part in content]


def _part(part: Any, album: Album) -> Part:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return part["text"]
    if kind == "image":
        named = next((part[key] for key in ("image", "path", "url") if part.get(key) is not None), None)
        return album.next() if named is None else _picture(named, album.folder)
    raise Fault("unknown-schema", f"unknown part {part!r:.80}; accepted are {{type: text, text}} and {{type: image}}")


def _check_order(roles: list[Role]) -> None:
    """A system turn at most first, then questions and answers by turns, an answer last."""
    talk = roles[1:] if roles[:1] == ["system"] else roles
    if not talk or talk != ["user", "assistant"] * (len(talk) // 2):
        raise Fault(
            "bad-order", f"the turns go {', '.join(roles) or 'nowhere'}; questions and answers by turns expected"
        )
