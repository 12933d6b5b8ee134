"""Prompts without answers, with up to four pictures or none: what a policy learns from, its rewards see the columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from prospect.conversation.sample import Sample, Turn
from prospect.data.answer_format import AnswerFormat, Format
from prospect.data.chats.audit import Row
from prospect.data.chats.read import Source, read
from prospect.data.chats.shapes import in_one_shape
from prospect.data.dataset import Dataset
from prospect.data.element.rows import Fault
from prospect.data.fingerprint import fingerprint
from prospect.data.path_vqa.dataset import scaled
from prospect.data.path_vqa.rows import PICTURES, columns
from prospect.data.preferences.dataset import crowded
from prospect.data.users.dataset import blanked
from prospect.data.users.rows import conversation
from prospect.errors import UserError


def prompts(
    path: str,
    subset: str | None = None,
    split: str | None = None,
    val_path: str | None = None,
    val_split: str | None = None,
    test_path: str | None = None,
    test_split: str | None = None,
    take: int | None = None,
    map: str | None = None,
    group: str | None = None,
    prompt: str = "prompt",
    resize: int | None = None,
    answer_format: Format = "plain",
    instruction: str | None = None,
    val_share: float = 0.1,
    test_share: float = 0.1,
    on_bad: Literal["fail", "skip"] = "fail",
    blank_images: bool = False,
    seed: int = 0,
) -> Dataset:
    """A prompt is a text or a list of messages that ends with the user's. Nothing of it is learnt."""
    if resize is not None and resize < 1:
        raise UserError(f"data.resize={resize}: must be at least 1, or null")
    held_out = {"val": (val_path, val_split), "test": (test_path, test_split)}
    source = Source(path, subset, split, held_out, map, group, val_share, test_share, on_bad, seed, take)
    found = read(source, _turned(prompt, AnswerFormat(answer_format, instruction), resize), "prompt")
    splits = found.samples(lambda row: _sample(row, prompt, blank_images))
    known: dict[Any, str] = dict(found.digests)
    return Dataset(
        name="prompts",
        task="prompts",
        splits=splits,
        findings=[*found.findings, *crowded(found.rows)],
        fingerprint=fingerprint(splits, lambda picture: known[picture.source]),
        answer_format=answer_format,
        notes=found.notes(splits),
    )


def _turned(
    column: str, form: AnswerFormat, edge: int | None
) -> Callable[[dict[str, Any], Path], tuple[tuple[Turn, ...], None]]:
    def turned(value: dict[str, Any], folder: Path) -> tuple[tuple[Turn, ...], None]:
        _check(value, column)
        known = {key: value[key] for key in (*PICTURES, "system") if value.get(key) is not None}
        shape = in_one_shape({"prompt": value[column], "completion": "-", **known})  # an answer, taken off again
        turns = [scaled(replace(turn, learn=False), edge) for turn in conversation(shape, folder)[:-1]]
        columns(value, (column, *PICTURES))
        return (*turns[:-1], form.asked(turns[-1])), None

    return turned


def _check(value: Any, column: str) -> None:
    if not isinstance(value, dict) or value.get(column) is None:
        there = ", ".join(sorted(map(str, value))) if isinstance(value, dict) else type(value).__name__
        raise Fault(
            "unknown-schema", f"has no column {column!r} but {there}; data.prompt names the one with the prompt"
        )
    asked = value[column]
    if not asked or not isinstance(asked, str | list) or (isinstance(asked, str) and not asked.strip()):
        raise Fault("empty-prompt", f"{column} must be a text or a list of messages, not {asked!r:.60}")


def _sample(row: Row, column: str, blank: bool) -> Sample:
    turns = tuple(blanked(turn) if blank else turn for turn in row.turns)
    told = {"where": row.where, "columns": columns(row.value, (column, *PICTURES))}
    return Sample(row.where, turns, told | ({"group": row.group} if row.group else {}))
