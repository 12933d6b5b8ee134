"""Element classification: a picture, a question, one of five words."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.data.dataset import Dataset
from prospect.data.element.audit import audit
from prospect.data.element.rows import ELEMENTS, Row, read_rows
from prospect.data.findings import Finding, listing, refuse
from prospect.data.fingerprint import fingerprint
from prospect.data.labels import label_of
from prospect.data.splits import SPLITS, share_error, split_of
from prospect.errors import UserError

QUESTION = "Classify this image into one of these elements: water, land, fire, wood, metal.\n\nElement:"

__all__ = ["ELEMENTS", "QUESTION", "element", "label_of"]


def _read(folder: Path) -> tuple[list[Row], list[Finding]]:
    if not folder.is_dir():
        raise UserError(f"data.folder={folder}: there is no such folder")
    if (folder / "dataset_dict.json").is_file() or (folder / "dataset_info.json").is_file():
        from prospect.data.element.table import read_table  # only here: importing datasets takes seconds

        return read_table(folder)
    return read_rows(folder)


def element(
    folder: str,
    context: bool = False,
    balanced: bool = False,
    answers: Literal["label", "descriptive"] = "label",
    on_bad: Literal["fail", "skip"] = "fail",
    blank_images: bool = False,
    val_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
    question: str = QUESTION,
) -> Dataset:
    """Labelled pictures from a folder of JSON lines (rich or chat rows), or from one that `datasets` saved.

    `val_share`, `test_share` and `seed` matter only where the folder holds nothing out itself.
    """
    share_error(val_share, test_share)
    path = Path(folder).expanduser().resolve()
    rows, unread = _read(path)
    rows = _split(rows, unread, partial(split_of, seed=seed, val_share=val_share, test_share=test_share))
    checked = audit(rows, partial(_prompt, question=question, context=context), context)
    findings = unread + checked.findings
    if on_bad != "skip":
        refuse(findings, folder)
    if not checked.rows:
        raise UserError(f"data.folder={folder}: not one row of it can be used\n{listing(findings)}")
    splits: dict[str, list[Sample]] = {name: [] for name in SPLITS}
    for row, name in _named(checked.rows):
        splits[row.split].append(_sample(row, name, _prompt(row, question, context), answers, blank_images))
    digests: dict[Any, str] = {row.image: checked.digests[row.where] for row in checked.rows}
    return Dataset(
        name="element",
        task="classification",
        splits=splits,
        labels=ELEMENTS,
        findings=findings,
        fingerprint=fingerprint(splits, lambda picture: digests[picture.source]),
        balanced=balanced,
    )


def _split(rows: list[Row], unread: list[Finding], drawn: Callable[[str], str]) -> list[Row]:
    """The folder's own splits if it holds anything out, otherwise one drawn for each image id."""
    if {"val", "test"} & ({row.split for row in rows} | {finding.split for finding in unread}):
        return rows
    return [replace(row, split=drawn(row.image_id)) for row in rows]


def _named(rows: list[Row]) -> Iterator[tuple[Row, str]]:
    """Sample ids are image ids, numbered where a picture stands in its split more than once."""
    taken: set[tuple[str, str]] = set()
    for row in rows:
        candidates = itertools.chain([row.image_id], (f"{row.image_id}#{n}" for n in itertools.count(2)))
        name = next(name for name in candidates if (row.split, name) not in taken)
        taken.add((row.split, name))
        yield row, name


def _prompt(row: Row, question: str, context: bool) -> str:
    """A chat row asks its own question."""
    asked = question if row.question is None else row.question
    return f"Context: {row.reason}\n\n{asked}" if context and row.reason else asked


def _answer(row: Row, answers: str) -> str:
    """`fire`, or `fire: Flames rise in orange tones`: the label leads, so that `label_of` can read it back."""
    if answers == "label":
        return row.label
    explanation = re.sub(rf"(?i)^\s*{row.label}\s*(:|\.?\s*$)", "", row.explanation).strip()
    return f"{row.label}: {explanation}" if explanation else row.label


def _sample(row: Row, name: str, prompt: str, answers: str, blank: bool) -> Sample:
    turns = [Turn("system", (row.system,))] if row.system else []
    turns.append(Turn("user", (Picture(row.image, blank), prompt)))
    turns.append(Turn("assistant", (_answer(row, answers),)))
    meta = {"label": row.label, "image_id": row.image_id, "where": row.where} | row.meta
    return Sample(name, tuple(turns), meta | ({"reason": row.reason} if row.reason else {}))
