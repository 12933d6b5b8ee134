"""Whether a trainer can learn from the data at all: said before torch is imported and a model loaded, by train.py."""

from __future__ import annotations

from prospect.data.dataset import Dataset
from prospect.errors import UserError


def suited(trainer: str, data: Dataset) -> None:
    """`trainer`: the name of its function; one of the user's own is left to itself."""
    if trainer == "dpo" and data.task != "preferences":
        raise UserError(
            f"trainer=dpo learns from pairs of answers, and {data.name} has none: take data=preferences, or another "
            "trainer"
        )
    if trainer == "grpo" and data.task not in ("questions", "prompts"):
        raise UserError(f"trainer=grpo learns from questions or prompts (data=path_vqa, data=prompts), not {data.name}")
    if trainer == "supervised" and data.task == "prompts":
        raise UserError(f"{data.name} has no answers to learn by heart: take trainer=grpo, or data with answers")
    if not data.splits["train"]:
        raise UserError(f"{data.name}: the training split is empty")
