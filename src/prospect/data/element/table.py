"""Element data as a `datasets` folder (`save_to_disk`): an image column and the label. Imported when one is met."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets

from prospect.data.element.rows import Fault, Row, image_key, known_label, locate
from prospect.data.findings import Finding
from prospect.data.splits import ALIASES
from prospect.errors import UserError


def read_table(folder: Path) -> tuple[list[Row], list[Finding]]:
    """Every usable row of a saved dataset or dataset dict, and a finding for every row that is none."""
    loaded = datasets.load_from_disk(str(folder))
    tables = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"": loaded}
    rows, findings = [], []
    for name, table in tables.items():
        split = ALIASES.get(str(name), "")
        if name and not split:
            raise UserError(f"data.folder={folder}: unknown split {name!r}; accepted are {', '.join(ALIASES)}")
        for index, entry in enumerate(_entries(table, folder)):
            where = f"{name or 'table'}[{index}]"
            try:
                rows.append(_row(entry, where, str(name), split, folder))
            except Fault as fault:
                findings.append(Finding(fault.kind, "error", split, "", f"{where}: {fault}"))
    return rows, findings


def _entries(table: datasets.Dataset, folder: Path) -> Iterator[dict[str, Any]]:
    """Rows with their pictures still encoded and their labels as names."""
    columns = [name for name, feature in table.features.items() if isinstance(feature, datasets.Image)]
    label = next((name for name in ("element", "label") if name in table.features), None)
    if len(columns) != 1 or label is None:
        raise UserError(
            f"data.folder={folder}: the table has the columns {sorted(table.features)}; "
            "exactly one image column and a column element or label are expected"
        )
    names = table.features[label]
    for entry in table.cast_column(columns[0], datasets.Image(decode=False)):
        value = entry[label]
        if isinstance(names, datasets.ClassLabel) and value is not None and value >= 0:  # -1: not labelled
            value = names.int2str(value)
        yield entry | {"image": entry[columns[0]], "element": str(value)}


def _row(entry: dict[str, Any], where: str, name: str, split: str, folder: Path) -> Row:
    stored = entry["image"] or {}
    written = stored.get("path") or ""
    if stored.get("bytes") is None and not written:
        raise Fault("missing-picture", "the image column is empty")
    image, base = (stored["bytes"], "") if stored.get("bytes") is not None else locate(written, folder)
    reason = str(entry.get("reason") or "").strip()
    return Row(
        where=where,
        file=name or "table",
        split=split,
        shape="table",
        image_id=str(entry.get("image_id") or _key(image)),
        image=image,
        written=written or where,
        base=base,
        label=known_label(entry["element"]),
        reason=reason,
        explanation=reason,
        meta={key: entry[key] for key in ("confidence",) if entry.get(key) is not None},
    )


def _key(image: Path | bytes) -> str:
    """The stored path of an embedded picture is a bare file name, which two splits may share; its bytes are not."""
    return hashlib.sha256(image).hexdigest()[:16] if isinstance(image, bytes) else image_key(str(image))
