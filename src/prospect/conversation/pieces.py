"""A stream's sequence piece by piece, as it comes into being: joined, the pieces are what `encode(chat(sample))` has.

Nothing joins at the ends of pieces: each ends at a special token, at a newline before a header, or at a header, behind
which a text is tokenised by itself or begins with a blank, where tokenizers always part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from prospect.conversation.chat import ChatFormat
from prospect.conversation.sample import Role, Task, Turn
from prospect.conversation.segments import Segment, encode


@dataclass(frozen=True)
class Pieces:
    """ids of what the chat format has in a stream; a frame takes `frame_tokens`."""

    format: ChatFormat
    tokenizer: Any
    frame_tokens: int = 1

    def prompt(self, turns: Iterable[Turn], task: Task | None) -> list[int]:
        """What every sequence begins with: the system's turns, and the task with its state."""
        worded = (segment for turn in turns for segment in self.format.worded(turn, task))
        return self._ids([*self.format.begun(), *worded])

    def turn(self, turn: Turn) -> list[int]:
        """A whole turn that is known already, such as a user's."""
        return self._ids(self.format.worded(turn, None))

    def frame(self) -> list[int]:
        return self._ids([self.format.seen((None,), self.frame_tokens)])

    def opened(self, role: Role) -> list[int]:
        """The header after which a model writes the turn itself."""
        return self._ids(self.format.header(role))

    def text(self, text: str) -> list[int]:
        """What a model should write after a header: the text, without its end."""
        return self._ids([Segment(self.lead), Segment(text)])

    @property
    def lead(self) -> str:
        """What a model writes before the text itself."""
        return self.format.lead

    def spelled(self, text: str) -> tuple[int, ...]:
        """A part of a turn's text, which must begin and end where tokens do."""
        return tuple(self._ids([Segment(text)]))

    def closed(self) -> list[int]:
        """The end token of a turn and what stands behind it."""
        return self._ids(self.format.closed())

    @property
    def end(self) -> int:
        """The token that ends a turn."""
        return self.closed()[0]

    def read(self, ids: list[int]) -> str:
        """The text that a model wrote after a header."""
        text: str = self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        return text.removeprefix(self.lead)

    def _ids(self, segments: list[Segment]) -> list[int]:
        return encode(segments, self.tokenizer).ids
