"""Where clips lie: the two kinds of files, found in a folder by the names of the splits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prospect.data.findings import Finding
from prospect.data.splits import ALIASES, SPLITS
from prospect.errors import UserError

LIST = "_training.json"  # train_training.json: a list of clips
LAYOUT = """It must hold
  train_training.json, val_training.json, test_training.json: lists of clips (or, in the older form, train.jsonl, …)
  the frame stores that the clips name in `frames_file`: Arrow files, a row a frame (data.frame_root if elsewhere)"""


@dataclass(frozen=True)
class Entry:
    """One clip as the file has it. `where` is unique: train_training.json[3], train.jsonl:4."""

    where: str
    split: str
    content: Any


def read_files(folder: Path, warmup: Iterable[str] = ()) -> tuple[list[Entry], list[Finding]]:
    """Every clip of the splits and of the named warm-up files, and a finding for whatever is no JSON."""
    if not folder.is_dir():
        raise UserError(f"data.folder={folder}: there is no such folder. {LAYOUT}")
    files = {split: path for split in SPLITS if (path := _file(folder, split))}
    if not files:
        raise UserError(f"data.folder={folder}: no file of clips in it. {LAYOUT}")
    for name in warmup:
        path = _file(folder, name)
        if not path:
            raise UserError(f"data.warmup.{name}: there is no {name}{LIST} in {folder}")
        files[name] = path
    entries: list[Entry] = []
    findings = list(_unread(folder, set(files.values())))
    for split, path in files.items():
        for found in _clips(path, split) if path.suffix == ".json" else _lines(path, split):
            (findings if isinstance(found, Finding) else entries).append(found)  # type: ignore[arg-type]
    return entries, findings


def others(folder: Path) -> tuple[str, ...]:
    """The names of the further lists of clips in a folder: those that a run may warm up on."""
    names = (path.name.removesuffix(LIST) for path in sorted(folder.glob(f"*{LIST}")))
    return tuple(name for name in names if name not in ALIASES)


def _file(folder: Path, split: str) -> Path | None:
    names = [name for name, meant in ALIASES.items() if meant == split] or [split]
    found = [path for name in names for path in (folder / f"{name}{LIST}", folder / f"{name}.jsonl") if path.is_file()]
    if len(found) > 1:
        raise UserError(
            f"data.folder={folder}: {' and '.join(path.name for path in found)} hold the same split; keep one"
        )
    return found[0] if found else None


def _unread(folder: Path, read: set[Path]) -> Iterator[Finding]:
    others = sorted(path.name for path in [*folder.glob(f"*{LIST}"), *folder.glob("*.jsonl")] if path not in read)
    if others:
        yield Finding("unread-file", "warning", "", "", f"{', '.join(others)} not read: named after no split")


def _clips(path: Path, split: str) -> Iterator[Entry | Finding]:
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except ValueError as error:  # no JSON, or not UTF-8; the message has line and column
        yield Finding("bad-json", "error", split, "", f"{path.name}: not JSON: {error}")
        return
    if not isinstance(content, list):
        yield Finding("bad-json", "error", split, "", f"{path.name}: a list of clips is expected, not {_kind(content)}")
        return
    for index, clip in enumerate(content):
        yield Entry(f"{path.name}[{index}]", split, clip)


def _lines(path: Path, split: str) -> Iterator[Entry | Finding]:
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line.strip():
            try:
                yield Entry(f"{path.name}:{number}", split, json.loads(line.decode("utf-8")))
            except ValueError as error:
                yield Finding("bad-json", "error", split, "", f"{path.name}:{number}: not JSON: {error}")


def _kind(content: Any) -> str:
    return "an object" if isinstance(content, dict) else repr(content)[:40]
