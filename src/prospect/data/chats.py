"""Conversations with pictures or without, in the shapes in which they are published, from files or from the hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from prospect.conversation.sample import Sample
from prospect.data.chats_audit import Row, audit
from prospect.data.chats_files import Entry, entries
from prospect.data.chats_map import OwnMap, own_map
from prospect.data.chats_shapes import in_one_shape
from prospect.data.chats_split import drawn
from prospect.data.dataset import Dataset, Finding, fingerprint, listing, refuse
from prospect.data.element_rows import Fault
from prospect.data.splits import ALIASES, SPLITS, share_error
from prospect.data.users import blanked
from prospect.data.users_rows import conversation
from prospect.errors import UserError


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
    share_error(val_share, test_share)
    own = own_map(map) if map else None
    held_out = {"val": (val_path, val_split), "test": (test_path, test_split)}
    found, notes = _entries(path, subset, split, held_out)
    rows, unread = _rows(found, own, group)
    audited = audit(rows)
    kept = drawn(audited.rows, audited.digests, seed, val_share, test_share)
    findings = [*notes, *unread, *audited.findings, *_empty(kept)]
    if on_bad != "skip":
        refuse(findings, path, key="path")
    if not kept:
        raise UserError(f"data.path={path}: not one conversation of it can be used\n{listing(findings)}")
    splits: dict[str, list[Sample]] = {name: [] for name in SPLITS}
    for row in kept:
        splits[row.split].append(_sample(row, blank_images))
    known: dict[Any, str] = dict(audited.digests)
    return Dataset(
        name="chats",
        task="answers",
        splits=splits,
        findings=findings,
        fingerprint=fingerprint(splits, lambda picture: known[picture.source]),
        by_user=False,
        notes={"rows": {name: counts(samples) for name, samples in splits.items()}, **_told(own)},
    )


def counts(samples: Sequence[Sample]) -> dict[str, int]:
    """How many conversations there are by what they show."""
    seen = Counter(min(len(sample.pictures), 2) for sample in samples)
    return {"text_only": seen[0], "one_picture": seen[1], "several_pictures": seen[2]}


def _told(own: OwnMap | None) -> dict[str, Any]:
    return {"map": {"function": own.name, "sha256": own.sha256}} if own else {}


def _entries(
    path: str, subset: str | None, split: str | None, held_out: dict[str, tuple[str | None, str | None]]
) -> tuple[list[Entry], list[Finding]]:
    """Rows with the splits of this program. What is held out by name takes the place of the source's own split."""
    given = {name for name, asked in held_out.items() if any(asked)}
    source = entries(path, subset, split, "data.path")
    whole = [replace(entry, split="" if split else ALIASES.get(entry.split, "")) for entry in source]
    kept = [entry for entry in whole if entry.split not in given]
    notes = []
    for name in sorted({entry.split for entry in whole} & given):
        message = (
            f"data.path={path} has a split {name} of its own, which data.{name}_path or data.{name}_split replaces"
        )
        notes.append(Finding("unread-split", "warning", name, "", message))
    for name in given:
        other, expression = held_out[name]
        key = f"data.{name}_path" if other else "data.path"
        kept += [replace(entry, split=name) for entry in entries(other or path, subset, expression, key)]
    return kept, notes


def _rows(found: Sequence[Entry], own: OwnMap | None, group: str | None) -> tuple[list[Row], list[Finding]]:
    rows: list[Row] = []
    findings: list[Finding] = []
    for place, entry in enumerate(found):
        try:
            rows += _row(entry, own, group)
        except Fault as fault:
            if own and place == 0 and fault.kind in ("map-failed", "unknown-schema"):  # the rest would go the same way
                raise UserError(f"data.map={own.name}, first row ({entry.where}): {fault}") from fault
            findings.append(Finding(fault.kind, "error", entry.split, entry.where, f"{entry.where}: {fault}"))
    return rows, findings


def _row(entry: Entry, own: OwnMap | None, group: str | None) -> Iterator[Row]:
    """None or one."""
    if isinstance(entry.value, Fault):
        raise entry.value
    value = own(entry.value) if own else entry.value
    if value is None:
        return
    turns = conversation(in_one_shape(value), entry.folder)
    yield Row(entry.where, entry.split, turns, _group({**entry.value, **value}, group))


def _group(value: dict[str, Any], column: str | None) -> str | None:
    if column is None:
        return None
    if value.get(column) is None:
        raise Fault("missing-group", f"has nothing in the column {column!r} that data.group names")
    return str(value[column])


def _empty(rows: Sequence[Row]) -> Iterator[Finding]:
    there = {row.split or "train" for row in rows}
    yield from (
        Finding("empty-split", "warning", name, "", f"{name} has no samples") for name in SPLITS if name not in there
    )


def _sample(row: Row, blank: bool) -> Sample:
    turns = tuple(blanked(turn) if blank else turn for turn in row.turns)
    return Sample(row.where, turns, {"where": row.where} | ({"group": row.group} if row.group else {}))
