"""Conversations with pictures or without, in the shapes in which they are published, from files or from the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from prospect.conversation.sample import Sample, Turn
from prospect.data.chats.audit import Row
from prospect.data.chats.read import Source, read
from prospect.data.chats.shapes import in_one_shape
from prospect.data.dataset import Dataset
from prospect.data.fingerprint import fingerprint
from prospect.data.users.dataset import blanked
from prospect.data.users.rows import conversation


def chats(
    path: str,
    subset: str | None = None,
    split: str | None = None,
    val_path: str | None = None,
    val_split: str | None = None,
    test_path: str | None = None,
    test_split: str | None = None,
    map: str | None = None,
    group: str | None = None,
    val_share: float = 0.1,
    test_share: float = 0.1,
    on_bad: Literal["fail", "skip"] = "fail",
    blank_images: bool = False,
    seed: int = 0,
) -> Dataset:
    """Every assistant turn is learnt. What is not held out by name is drawn, by pictures and `group`."""
    held_out = {"val": (val_path, val_split), "test": (test_path, test_split)}
    source = Source(path, subset, split, held_out, map, group, val_share, test_share, on_bad, seed)
    found = read(source, _turned, "conversation")
    splits = found.samples(lambda row: _sample(row, blank_images))
    known: dict[Any, str] = dict(found.digests)
    return Dataset(
        name="chats",
        task="answers",
        splits=splits,
        findings=found.findings,
        fingerprint=fingerprint(splits, lambda picture: known[picture.source]),
        by_user=False,
        notes=found.notes(splits),
    )


def _turned(value: dict[str, Any], folder: Path) -> tuple[tuple[Turn, ...], None]:
    return conversation(in_one_shape(value), folder), None


def _sample(row: Row, blank: bool) -> Sample:
    turns = tuple(blanked(turn) if blank else turn for turn in row.turns)
    return Sample(row.where, turns, {"where": row.where} | ({"group": row.group} if row.group else {}))
