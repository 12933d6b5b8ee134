"""Rewards for how a completion is written, whatever it says; TRL calls all rewards in this way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prospect.conversation.tags import well_formed


def format(
    prompts: Sequence[str], completions: Sequence[str], completion_ids: Any = None, **columns: Any
) -> list[float | None]:
    """1 for `<think>…</think><answer>…</answer>`, each tag once and nothing outside; else 0."""
    return [float(well_formed(text)) for text in completions]


def length(
    prompts: Sequence[str], completions: Sequence[str], completion_ids: Any = None, longest: int = 500, **columns: Any
) -> list[float | None]:
    """1 up to `longest` characters, from there evenly down to 0 at twice as many. Nothing said earns nothing."""
    return [_short(len(text.strip()), longest) for text in completions]


def _short(characters: int, longest: int) -> float:
    return min(1.0, max(0.0, 2 - characters / longest)) if characters else 0.0
