"""Users as `datasets` folders (`save_to_disk`): one folder a user, or one table with a column user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets

from prospect.data.element.rows import Fault
from prospect.data.findings import Finding
from prospect.data.users.rows import SHAPE, Row, row
from prospect.errors import UserError


def read_table(path: Path, folder: Path, user: int | None = None) -> tuple[list[Row], list[Finding]]:
    """Every usable row of a saved table; without `user` the column of that name says whose each is."""
    table = datasets.load_from_disk(str(path))
    if isinstance(table, datasets.DatasetDict):
        raise UserError(f"{path} holds several tables ({', '.join(map(str, table))}); save one a user")
    _check_columns(table, path, user)
    rows: list[Row] = []
    findings: list[Finding] = []
    for index, entry in enumerate(_undecoded(table)):
        where = f"{path.name}[{index}]"
        try:
            owner = user if user is not None else _owner(entry["user"])
            rows.append(row(entry, owner, where, str(index), folder))
        except Fault as fault:
            findings.append(Finding(fault.kind, "error", "", "", f"{where}: {fault}"))
    return rows, findings


def _check_columns(table: datasets.Dataset, path: Path, user: int | None) -> None:
    needed = {"messages"} if user is not None else {"messages", "user"}
    if not needed <= set(table.features):
        raise UserError(
            f"{path}: the table has the columns {sorted(table.features)}; {' and '.join(sorted(needed))} are needed, "
            f"in rows {SHAPE}"
        )


def _undecoded(table: datasets.Dataset) -> datasets.Dataset:
    """Pictures stay as they are stored: bytes or paths, opened late like all others."""
    images = table.features.get("images")
    inner = images.feature if isinstance(images, datasets.List) else None
    if isinstance(inner, datasets.Image):
        return table.cast_column("images", datasets.List(datasets.Image(decode=False)))
    return table


def _owner(value: Any) -> int:
    if isinstance(value, bool) or not str(value).isdecimal():
        raise Fault("unknown-user", f"the column user holds {value!r:.60}, which is no number of a user")
    return int(value)
