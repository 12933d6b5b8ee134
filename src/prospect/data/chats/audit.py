"""What is wrong with conversations: every check yields findings, and names the rows that cannot be used."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from prospect.conversation.sample import Picture, Turn
from prospect.data.findings import Finding
from prospect.data.splits import SPLITS
from prospect.data.users.audit import Digests, decoded, shown, sources


@dataclass(frozen=True)
class Row:
    """One conversation. `where` (file:line) is unique in its split, which is "" as long as it is to be drawn.

    `rejected`: of a pair of answers the one that was not preferred; the turns end with the other. `value` is the row as
    it was read, with all its columns.
    """

    where: str
    split: str
    turns: tuple[Turn, ...]
    group: str | None = None
    rejected: str | None = None
    value: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(picture for turn in self.turns for picture in turn.pictures)


@dataclass(frozen=True)
class Audit:
    """The usable rows, the sha256 of every picture, and all that was found."""

    rows: list[Row]
    digests: Digests
    findings: list[Finding]


def audit(rows: Sequence[Row]) -> Audit:
    digests, broken = decoded(row.pictures for row in rows)
    findings: list[Finding] = []
    whole: list[Row] = []
    for row in rows:
        faults = [broken[source] for source in sources(row.pictures) if source in broken]
        findings += [_error("unreadable-picture", row, fault) for fault in faults]
        whole += [] if faults else [row]
    overlaps = dict(_overlaps(whole, digests))
    findings += [_error("overlap", whole[place], message) for place, message in overlaps.items()]
    kept = [row for place, row in enumerate(whole) if place not in overlaps]
    return Audit(kept, digests, [*findings, *_duplicates(kept, digests)])


def _error(kind: Literal["unreadable-picture", "overlap"], row: Row, message: str) -> Finding:
    return Finding(kind, "error", row.split, row.where, f"{row.where}: {message}")


def keys(row: Row, digests: Digests) -> set[str]:
    """What must never be on both sides of a split: its pictures by content, and its group."""
    held = {f"picture {digests[source]}" for source in sources(row.pictures)}
    return held | ({f"group {row.group}"} if row.group is not None else set())


def _overlaps(rows: Sequence[Row], digests: Digests) -> Iterator[tuple[int, str]]:
    """Rows that share a picture or a group with a split behind theirs. What is held out stays: those before it go."""
    last: dict[str, Row] = {}
    for row in rows:
        for key in keys(row, digests):
            if key not in last or _rank(last[key]) < _rank(row):
                last[key] = row
    for place, row in enumerate(rows):
        for key in sorted(keys(row, digests)):
            if _rank(last[key]) > _rank(row):
                what = "a picture" if key.startswith("picture ") else f"the {key}"
                yield (
                    place,
                    f"{what} of this row of {row.split or 'train'} is in {last[key].split} too: {last[key].where}",
                )
                break


def _rank(row: Row) -> int:
    return SPLITS.index(row.split or "train")


def _duplicates(rows: Sequence[Row], digests: Digests) -> Iterator[Finding]:
    """The same conversation word for word, pictures included: it weighs more than others."""
    same: dict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        same[row.split, shown(row.turns, digests), row.rejected].append(row)
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for (split, *_), group in same.items():
        if len(group) > 1:
            counts[split] += len(group) - 1
            first.setdefault(split, " and ".join(row.where for row in group[:2]))
    for split, count in counts.items():
        message = f"{count} conversations stand there more than once, such as {first[split]}"
        yield Finding("duplicate", "warning", split, "", message)
