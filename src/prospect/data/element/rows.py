"""The two shapes in which element data is found, and `datasets` on disk, read into one kind of row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from prospect.data.findings import Finding
from prospect.data.labels import label_of, nearest
from prospect.data.splits import ALIASES
from prospect.errors import UserError

ELEMENTS = ("water", "land", "fire", "wood", "metal")
SHAPES = "{image_id, image_path, element, reason, …} or {image, conversations: [{from|role, value|content}, …]}"
ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
MARKER = "<image>"


class Fault(ValueError):
    """One row that cannot be used, with the kind of finding that it becomes."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Row:
    """One labelled picture as it was found. `where` (file:line) is unique; `image_id` need not be."""

    where: str
    file: str
    split: str  # the split its file is named after; "" where the file is not named after one
    shape: Literal["rich", "chat", "table"]
    image_id: str
    image: Path | bytes
    written: str  # the path as the file has it
    base: str  # what that path turned out to start from: "folder", "parent", "absolute", "moved", or "" for nothing
    label: str
    reason: str = ""  # why an annotator chose the label; goes into the prompt only when asked for
    explanation: str = ""  # what a descriptive answer says
    question: str | None = None  # a chat brings its own
    system: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)


def read_rows(folder: Path) -> tuple[list[Row], list[Finding]]:
    """Every usable row of a folder of JSON lines, and a finding for every line that is none."""
    rows: list[Row] = []
    files, findings = _files(folder)
    for path in files:
        for line, entry in _lines(path):
            try:
                rows.append(_row(entry, path, line, folder))
            except Fault as fault:
                split = ALIASES.get(path.stem, "")
                findings.append(Finding(fault.kind, "error", split, "", f"{path.name}:{line}: {fault}"))
    return rows, findings


def _files(folder: Path) -> tuple[list[Path], list[Finding]]:
    """The split files where there are any, otherwise all; files left unread are said."""
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        wrong = sorted(folder.glob("*.json"))
        hint = f"; {wrong[0].name} is not one: write one object a line into a .jsonl file" if wrong else ""
        raise UserError(f"data.folder={folder}: no JSON lines (*.jsonl) in it{hint}")
    named = [path for path in files if path.stem in ALIASES]
    if {"val", "validation"} <= {path.stem for path in named}:
        raise UserError(f"data.folder={folder}: val.jsonl and validation.jsonl name the same split; keep one")
    unread = [path.name for path in files if named and path not in named]
    note = f"{', '.join(unread)} not read: only the files named after splits are, as there are some"
    return named or files, [Finding("unread-file", "warning", "", "", note)] if unread else []


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line.strip():
            yield number, line


def _row(line: bytes, path: Path, number: int, folder: Path) -> Row:
    try:
        entry = json.loads(line.decode("utf-8"))
    except ValueError as error:  # not JSON, or not UTF-8
        raise Fault("bad-json", f"not a JSON object: {error}") from error
    place: dict[str, Any] = {"where": f"{path.name}:{number}", "file": path.name, "split": ALIASES.get(path.stem, "")}
    if isinstance(entry, dict) and {"image_path", "element"} <= entry.keys():
        return _rich(entry, place, folder)
    if isinstance(entry, dict) and {"image", "conversations"} <= entry.keys():
        return _chat(entry, place, folder)
    found = f"has the keys {sorted(entry)}" if isinstance(entry, dict) else f"is a {type(entry).__name__}"
    raise Fault("unknown-schema", f"{found}; accepted are {SHAPES}")


def _rich(entry: dict[str, Any], place: dict[str, Any], folder: Path) -> Row:
    written = _string(entry, "image_path")
    image, base = locate(written, folder)
    reason = str(entry.get("reason") or "").strip()
    return Row(
        **place,
        shape="rich",
        image_id=str(entry.get("image_id") or image_key(written)),
        image=image,
        written=written,
        base=base,
        label=known_label(_string(entry, "element")),
        reason=reason,
        explanation=reason,
        meta={key: entry[key] for key in ("confidence",) if key in entry},
    )


def _chat(entry: dict[str, Any], place: dict[str, Any], folder: Path) -> Row:
    written = _string(entry, "image")
    image, base = locate(written, folder)
    turns = [_turn(turn) for turn in entry["conversations"]] if isinstance(entry["conversations"], list) else []
    roles = [role for role, _ in turns]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        raise Fault("unknown-schema", f"conversations go {roles}; a question and its answer are expected")
    answer = turns[-1][1].strip()
    return Row(
        **place,
        shape="chat",
        image_id=str(entry.get("image_id") or image_key(written)),
        image=image,
        written=written,
        base=base,
        label=_answered_label(answer),
        reason=str(entry.get("reason") or "").strip(),
        explanation=answer,
        question=without_marker(turns[-2][1]),
        system=turns[0][1] if len(turns) == 3 else None,
    )


def _string(entry: dict[str, Any], key: str) -> str:
    if not isinstance(entry[key], str) or not entry[key].strip():
        raise Fault("unknown-schema", f"{key} must be a text, not {entry[key]!r}")
    return entry[key].strip()


def _turn(turn: Any) -> tuple[str, str]:
    if not isinstance(turn, dict):
        raise Fault("unknown-schema", f"a conversation turn must be an object, not {turn!r}")
    role, content = turn.get("from", turn.get("role")), turn.get("value", turn.get("content"))
    if role not in ROLES:
        raise Fault("unknown-schema", f"unknown role {role!r}; accepted are {', '.join(ROLES)}")
    if isinstance(content, list):  # [{type: image}, {type: text, text: …}] says the same as a plain string
        content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
    if not isinstance(content, str):
        raise Fault("unknown-schema", f"the content of a {role} turn must be a text, not {content!r}")
    return ROLES[role], content


def without_marker(text: str) -> str:
    """The user's own words: the one placeholder at the head or the tail goes, any other `<image>` is text."""
    head, tail = text.lstrip(), text.rstrip()
    if head.startswith(MARKER):
        rest = head[len(MARKER) :].lstrip()
        if rest.startswith(MARKER):
            raise Fault("image-count", f"the question opens with several {MARKER}, and the line has one image")
        return rest
    return tail[: -len(MARKER)].rstrip() if tail.endswith(MARKER) else text


def known_label(word: str) -> str:
    """An element's name as this program writes it."""
    if word.strip().casefold() in ELEMENTS:
        return word.strip().casefold()
    close = nearest(word, ELEMENTS)
    hint = f"; did you mean {close!r}?" if close else ""
    raise Fault("unknown-label", f"unknown label {word!r}, not one of {', '.join(ELEMENTS)}{hint}")


def _answered_label(answer: str) -> str:
    return label_of(answer, ELEMENTS) or known_label(answer)


def locate(written: str, folder: Path) -> tuple[Path, str]:
    """The file that a path means, and what the path starts from. Data sets are moved, and keep their old paths."""
    path = Path(written)
    bases = {"absolute": path} if path.is_absolute() else {"folder": folder / path, "parent": folder.parent / path}
    if "images" in path.parts:
        bases["moved"] = folder.joinpath(*path.parts[path.parts.index("images") :])
    for base, candidate in bases.items():
        if _is_file(candidate):
            return candidate.resolve(), base
    return next(iter(bases.values())), ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long to be one, such as a picture written inline as base64
        return False


def image_key(written: str) -> str:
    """An id for a picture that has none: its path below `images`, so that every path style gives the same one."""
    path = Path(written).with_suffix("")
    parts = path.parts[path.parts.index("images") + 1 :] if "images" in path.parts else path.parts
    return "/".join(parts)
