"""How a model is asked to answer, `data.answer_format`: think first and answer between tags, or the answer alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from prospect.conversation.sample import Turn
from prospect.conversation.tags import TAGS, tagged
from prospect.data.element.rows import Fault
from prospect.errors import UserError

Format = Literal["think", "plain"]
INSTRUCTIONS = {
    "think": "Reply with <think>your reasoning</think><answer>the answer in a few words</answer>.",
    "plain": "",
}
THOUGHT = "Look at the picture."


@dataclass(frozen=True)
class AnswerFormat:
    """`instruction` None is the format's own. `reason` is a column with what was thought, `thought` stands for it."""

    form: Format
    instruction: str | None = None
    reason: str | None = None
    thought: str = THOUGHT

    def __post_init__(self) -> None:
        if self.form not in INSTRUCTIONS:
            raise UserError(f"data.answer_format={self.form}: accepted are {', '.join(INSTRUCTIONS)}")
        if self.form == "think" and not self.thought.strip():
            raise UserError("data.thought: write what stands between <think> and </think> in the answers to learn from")

    def asked(self, turn: Turn) -> Turn:
        """With the instruction below the question."""
        worded = INSTRUCTIONS[self.form] if self.instruction is None else self.instruction
        return replace(turn, parts=(*turn.parts, f"\n{worded}")) if worded else turn

    def answered(self, answer: str, columns: dict[str, Any]) -> str:
        """What is learnt."""
        if self.form == "plain":
            return answer
        thought = self.thought if self.reason is None else columns.get(self.reason)
        if not isinstance(thought, str) or not thought.strip():
            raise Fault("missing-reason", f"has no text in the column {self.reason!r} that data.reason names")
        if any(tag in thought for tag in TAGS):
            raise Fault("tags-in-answer", f"the reasoning in {self.reason!r} holds tags of its own")
        return tagged(answer, thought.strip())
