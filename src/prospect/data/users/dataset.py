"""Many users, a file each: what they ask with a picture before them, and what the assistant does for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.data.dataset import Dataset
from prospect.data.findings import Finding, listing, refuse
from prospect.data.fingerprint import fingerprint
from prospect.data.splits import SPLITS
from prospect.data.users.audit import Digests, audit, without_files
from prospect.data.users.folds import folds as dealt
from prospect.data.users.folds import roles
from prospect.data.users.ranges import Users, assigned, told, users_of
from prospect.data.users.rows import Row, files_of_users, read_files
from prospect.errors import UserError

RADIUS = 140.0  # 14 % of a screen of 1000 by 1000, the rule of Android in the Wild


def users(
    folder: str,
    users: Users | None = None,
    train_users: Users | None = "11-73",
    val_users: Users | None = "74-83",
    test_users: Users | None = "1-10",
    person: int | None = None,
    folds: int = 5,
    fold: int = 0,
    radius: float = RADIUS,
    on_bad: Literal["fail", "skip"] = "fail",
    blank_images: bool = False,
    seed: int = 0,
) -> Dataset:
    """A folder with a file for every user, split by users; with `person` that one's samples alone, split by folds."""
    path = Path(folder).expanduser().resolve()
    _check(path, users, person, folds, fold, radius)
    if person is None:
        split_of = assigned({"train": train_users, "val": val_users, "test": test_users})
        rows, findings = _read(path, users_of(users, "data.users"), split_of)
    else:
        split_of = {}  # of no importance: folds take their place
        rows, findings = _read(path, frozenset([person]), split_of)
    kept, digests, more = audit(rows, split_of)
    findings += more
    if on_bad != "skip":
        refuse(findings, folder)
    if not kept:
        raise UserError(f"data.folder={folder}: not one conversation of it can be used\n{listing(findings)}")
    chosen = [split_of[row.user] for row in kept] if person is None else _folded(kept, digests, folds, fold, seed)
    splits: dict[str, list[Sample]] = {name: [] for name in SPLITS}
    for row, split in zip(kept, chosen, strict=True):
        splits[split].append(_sample(row, blank_images))
    known: dict[Any, str] = dict(digests)
    return Dataset(
        name="users",
        task="answers",
        splits=splits,
        findings=findings,
        fingerprint=fingerprint(splits, lambda picture: known[picture.source]),
        radius=radius,
    )


def _check(path: Path, users: Users | None, person: int | None, folds: int, fold: int, radius: float) -> None:
    if not path.is_dir():
        raise UserError(f"data.folder={path}: there is no such folder")
    if person is not None and users is not None:
        raise UserError(f"data.person={person} is one user's own samples, so data.users={users} has no meaning")
    if folds < 3:
        raise UserError(f"data.folds={folds}: at least 3, one to test on, one to validate on, and others to train on")
    if not 0 <= fold < folds:
        raise UserError(f"data.fold={fold}: with data.folds={folds} there are the folds 0 to {folds - 1}")
    if radius <= 0:
        raise UserError(f"data.radius={radius}: must be above 0")


def _read(folder: Path, asked: frozenset[int], split_of: Mapping[int, str]) -> tuple[list[Row], list[Finding]]:
    """The rows of the users asked for, or else of all that have a split. Of who is asked for there must be a file."""
    wanted = asked or split_of.keys()
    if (folder / "dataset_info.json").is_file():
        from prospect.data.users.table import read_table  # only here: importing datasets takes seconds

        rows, findings = read_table(folder, folder)
        there = {row.user for row in rows}
    else:
        files, findings = files_of_users(folder)
        there = set(files)
        rows, more = _read_each(folder, {user: files[user] for user in sorted(there & wanted)})
        findings = findings + more
    if asked - there:
        raise UserError(f"data.folder={folder}: no file of user {told(asked - there)}; it has {told(there)}")
    if split_of and (strangers := asked - split_of.keys()):
        raise UserError(f"user {told(strangers)} is in no split: see data.train_users, data.val_users, data.test_users")
    beside = [] if asked else without_files(split_of, there)
    return [row for row in rows if row.user in wanted], [*findings, *beside]


def _read_each(folder: Path, files: Mapping[int, Path]) -> tuple[list[Row], list[Finding]]:
    rows, findings = read_files(folder, ((user, path) for user, path in files.items() if path.is_file()))
    for user, path in files.items():
        if path.is_dir():
            from prospect.data.users.table import read_table

            more, faults = read_table(path, folder, user)
            rows, findings = rows + more, findings + faults
    return rows, findings


def _folded(rows: Sequence[Row], digests: Digests, count: int, fold: int, seed: int) -> list[str]:
    """The split of each sample of one user. Samples that show the same picture are never parted."""
    known: dict[Any, str] = dict(digests)
    if len(rows) < count:
        raise UserError(f"data.folds={count}: user {rows[0].user} has only {len(rows)} usable samples")
    named = roles(fold, count)
    split = [named[number] for number in dealt([{known[p.source] for p in row.pictures} for row in rows], count, seed)]
    if absent := [name for name in SPLITS if name not in split]:
        raise UserError(
            f"data.folds={count}, data.fold={fold}: nothing is left for {' and '.join(absent)}, as many samples of "
            f"user {rows[0].user} share a picture and stay together; use fewer folds"
        )
    return split


def _sample(row: Row, blank: bool) -> Sample:
    turns = tuple(blanked(turn) if blank else turn for turn in row.turns)
    return Sample(row.id, turns, {"user": row.user, "where": row.where})


def blanked(turn: Turn) -> Turn:
    parts = tuple(replace(part, blank=True) if isinstance(part, Picture) else part for part in turn.parts)
    return replace(turn, parts=parts)


def of_users(data: Dataset, users: Users | None, split: str) -> Dataset:
    """The same data with only these users in `split`; all of them where none are named."""
    if users is None:
        return data
    if data.task != "answers" or not data.by_user:
        raise UserError(f"users={users}: {data.name} is not told apart by users")
    wanted = users_of(users, "users")
    there = {name: {sample.meta["user"] for sample in samples} for name, samples in data.splits.items()}
    if absent := wanted - there[split]:
        elsewhere = {name: absent & others for name, others in there.items() if absent & others}
        hint = "".join(f"; split={name} has {told(found)}" for name, found in elsewhere.items())
        raise UserError(
            f"users={users}: user {told(absent)} is not in split={split}, which has {told(there[split])}{hint}"
        )
    kept = [sample for sample in data.splits[split] if sample.meta["user"] in wanted]
    return replace(data, splits={**data.splits, split: kept})
