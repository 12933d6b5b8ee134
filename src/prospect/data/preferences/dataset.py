"""Pairs of answers, one preferred to the other, to questions with pictures or without, from files or from the hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from prospect.conversation.sample import Sample
from prospect.data.chats.audit import Row
from prospect.data.chats.read import Source, read
from prospect.data.dataset import Dataset
from prospect.data.findings import Finding
from prospect.data.fingerprint import fingerprint
from prospect.data.preferences.shapes import pair
from prospect.data.users.audit import Digests, shown
from prospect.data.users.dataset import blanked

MOST = 4  # pictures that a question of published pairs has


def preferences(
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
    """The sample is what was preferred, and the one answer of it is learnt; `meta["rejected"]` is the other answer.

    What is not held out by name is drawn, by pictures and `group`.
    """
    held_out = {"val": (val_path, val_split), "test": (test_path, test_split)}
    source = Source(path, subset, split, held_out, map, group, val_share, test_share, on_bad, seed)
    found = read(source, pair, "pair")
    splits = found.samples(lambda row: _sample(row, blank_images))
    known: dict[Any, str] = dict(found.digests)
    return Dataset(
        name="preferences",
        task="preferences",
        splits=splits,
        findings=[*found.findings, *crowded(found.rows), *_contradictions(found.rows, found.digests)],
        fingerprint=fingerprint(splits, lambda picture: known[picture.source]),
        by_user=False,
        notes=found.notes(splits),
    )


def _sample(row: Row, blank: bool) -> Sample:
    turns = tuple(blanked(turn) if blank else turn for turn in row.turns)
    told = {"where": row.where, "rejected": row.rejected}
    return Sample(row.where, turns, told | ({"group": row.group} if row.group else {}))


def crowded(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if len(row.pictures) > MOST:
            message = f"{row.where}: {len(row.pictures)} pictures, where published data have {MOST} at most"
            yield Finding("many-pictures", "warning", row.split, row.where, message)


def _contradictions(rows: Sequence[Row], digests: Digests) -> Iterator[Finding]:
    """Asked the same with the same pictures, one row prefers what another one rejects: both cannot be learnt."""
    first: dict[tuple, Row] = {}
    for row in rows:
        asked = shown(row.turns[:-1], digests)
        won, lost = row.turns[-1].text.strip(), (row.rejected or "").strip()
        if (other := first.get((asked, lost, won))) is not None:
            message = f"{row.where} prefers {won[:60]!r} to {lost[:60]!r}, {other.where} the other way round"
            yield Finding("contradiction", "warning", row.split, row.where, message)
        first.setdefault((asked, won, lost), row)
