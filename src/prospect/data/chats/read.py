"""From a source to rows that can be used, in their splits: what conversations and pairs of answers have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from prospect.conversation.sample import Sample, Turn
from prospect.data.chats.audit import Row, audit
from prospect.data.chats.entry import Entry
from prospect.data.chats.files import entries
from prospect.data.chats.map import OwnMap, own_map
from prospect.data.chats.split import drawn
from prospect.data.element.rows import Fault
from prospect.data.findings import Finding, listing, refuse
from prospect.data.splits import ALIASES, SPLITS, share_error
from prospect.data.users.audit import Digests
from prospect.errors import UserError

Turned = Callable[[dict[str, Any], Path], tuple[tuple[Turn, ...], str | None]]  # the turns, and a pair's other answer


@dataclass(frozen=True)
class Source:
    """Where rows lie, by the keys that the configuration has for it. `held_out`: path and split of val and test.

    With `take` only the first so many rows of each split.
    """

    path: str
    subset: str | None
    split: str | None
    held_out: dict[str, tuple[str | None, str | None]]
    map: str | None
    group: str | None
    val_share: float
    test_share: float
    on_bad: Literal["fail", "skip"]
    seed: int
    take: int | None = None


@dataclass(frozen=True)
class Read:
    """The usable rows, each with its split, the sha256 of every picture, all that was found, and the user's own map."""

    rows: list[Row]
    digests: Digests
    findings: list[Finding]
    own: OwnMap | None

    def samples(self, sample: Callable[[Row], Sample]) -> dict[str, list[Sample]]:
        splits: dict[str, list[Sample]] = {name: [] for name in SPLITS}
        for row in self.rows:
            splits[row.split].append(sample(row))
        return splits

    def notes(self, splits: dict[str, list[Sample]]) -> dict[str, Any]:
        told = {"map": {"function": self.own.name, "sha256": self.own.sha256}} if self.own else {}
        return {"rows": {name: counts(samples) for name, samples in splits.items()}, **told}


def counts(samples: Sequence[Sample]) -> dict[str, int]:
    """How many conversations there are by what they show."""
    seen = Counter(min(len(sample.pictures), 2) for sample in samples)
    return {"text_only": seen[0], "one_picture": seen[1], "several_pictures": seen[2]}


def read(source: Source, turned: Turned, what: str) -> Read:
    """What is not held out by name is drawn, by pictures and `group`. `what`: a row in one word, for messages."""
    share_error(source.val_share, source.test_share)
    own = own_map(source.map) if source.map else None
    if source.take is not None and source.take < 1:
        raise UserError(f"data.take={source.take}: must be at least 1, or null for all rows")
    found, notes = _entries(source)
    rows, unread = _rows(found, own, source.group, turned)
    audited = audit(rows)
    kept = drawn(audited.rows, audited.digests, source.seed, source.val_share, source.test_share)
    findings = [*notes, *unread, *audited.findings, *_empty(kept)]
    if source.on_bad != "skip":
        refuse(findings, source.path, key="path")
    if not kept:
        raise UserError(f"data.path={source.path}: not one {what} of it can be used\n{listing(findings)}")
    return Read(kept, audited.digests, findings, own)


def _entries(source: Source) -> tuple[list[Entry], list[Finding]]:
    """Rows with the splits of this program. What is held out by name takes the place of the source's own split."""
    path, subset, split, take = source.path, source.subset, source.split, source.take
    given = {name for name, asked in source.held_out.items() if any(asked)}
    whole = [
        replace(entry, split="" if split else ALIASES.get(entry.split, ""))
        for entry in entries(path, subset, split, "data.path", take)
    ]
    kept = [entry for entry in whole if entry.split not in given]
    notes = []
    for name in sorted({entry.split for entry in whole} & given):
        message = (
            f"data.path={path} has a split {name} of its own, which data.{name}_path or data.{name}_split replaces"
        )
        notes.append(Finding("unread-split", "warning", name, "", message))
    for name in given:
        other, expression = source.held_out[name]
        key = f"data.{name}_path" if other else "data.path"
        kept += [replace(entry, split=name) for entry in entries(other or path, subset, expression, key, take)]
    return kept, notes


def _rows(
    found: Sequence[Entry], own: OwnMap | None, group: str | None, turned: Turned
) -> tuple[list[Row], list[Finding]]:
    rows: list[Row] = []
    findings: list[Finding] = []
    for place, entry in enumerate(found):
        try:
            rows += _row(entry, own, group, turned)
        except Fault as fault:
            if own and place == 0 and fault.kind in ("map-failed", "unknown-schema"):  # the rest would go the same way
                raise UserError(f"data.map={own.name}, first row ({entry.where}): {fault}") from fault
            findings.append(Finding(fault.kind, "error", entry.split, entry.where, f"{entry.where}: {fault}"))
    return rows, findings


def _row(entry: Entry, own: OwnMap | None, group: str | None, turned: Turned) -> Iterator[Row]:
    """None or one."""
    if isinstance(entry.value, Fault):
        raise entry.value
    value = own(entry.value) if own else entry.value
    if value is None:
        return
    turns, rejected = turned(value, entry.folder)
    yield Row(entry.where, entry.split, turns, _group({**entry.value, **value}, group), rejected, value)


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
