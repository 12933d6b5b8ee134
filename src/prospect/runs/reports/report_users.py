"""What is shown of answers by user and by kind of answer, from the flat names in metrics.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prospect.runs.reports import curves

PREFIXES = ("user/", "kind/")


@dataclass(frozen=True)
class Column:
    name: str
    key: str
    digits: int = 3


@dataclass(frozen=True)
class Groups:
    """One row a user or a kind, by name, of texts; only columns that some row has."""

    of: str
    split: str
    columns: list[Column]
    rows: list[tuple[str, list[str]]]


COLUMNS = (
    Column("answers", "samples", 0),
    Column("exact", "exact"),
    Column("normalised", "normalised"),
    Column("click", "click/accuracy"),
    Column("unparsable", "click/unparsable"),
    Column("mean distance", "click/mean_distance", 1),
    Column("median", "click/median_distance", 1),
)


def by_user(metrics: Mapping[str, Any]) -> Groups | None:
    return _groups(metrics, "user")


def by_kind(metrics: Mapping[str, Any]) -> Groups | None:
    return _groups(metrics, "kind")


def _groups(metrics: Mapping[str, Any], of: str) -> Groups | None:
    """Of the test split, or else of another that has any."""
    for split in curves.SPLITS:
        prefix = f"{split}/{of}/"
        found: dict[str, dict[str, Any]] = {}
        for key, value in metrics.items():
            if key.startswith(prefix):
                name, _, metric = key.removeprefix(prefix).partition("/")
                found.setdefault(name, {})[metric] = value
        if found:
            columns = [column for column in COLUMNS if any(column.key in row for row in found.values())]
            return Groups(of, split, columns, [(name, _cells(found[name], columns)) for name in _sorted(found)])
    return None


def _sorted(names: Mapping[str, Any]) -> list[str]:
    """Numbers as numbers: user 10 comes after user 9."""
    return sorted(names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))


def _cells(row: Mapping[str, Any], columns: list[Column]) -> list[str]:
    """What could not be measured stays empty: a user without one readable point has no distance."""
    return [_cell(row.get(column.key), column.digits) for column in columns]


def _cell(value: Any, digits: int) -> str:
    if value is None:
        return ""
    return f"{value:,.{digits}f}" if isinstance(value, int | float) else str(value)
