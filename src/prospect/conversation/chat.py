"""A conversation as segments, whatever the family: that adds how a turn is opened and closed, and its special tokens.

In a stream every frame is a few image tokens alone, and what happens at a frame follows it: the turn of its
transitions, then the utterance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from prospect.conversation.dst import said
from prospect.conversation.sample import Picture, Role, Sample, Task, Turn
from prospect.conversation.segments import Channel, Decision, Segment
from prospect.conversation.stream import decided, told
from prospect.errors import UserError

ImageSegments = Callable[[Picture], list[Segment]]
WRITTEN = ("assistant", "dst")  # turns that a model writes itself, behind a header that it is given

LINE = Segment("\n")


@dataclass(frozen=True)
class ChatFormat:
    """How a family writes conversations. `begin` stands once, at the beginning; `header` opens a turn of a role.

    `lead` comes between a header and a text and is learnt with it. Without one the text is tokenised by itself where a
    model writes it: the header is all that is there when it begins to. `numbered` are the words before each picture of
    several, with its number from 0.
    """

    begin: str
    header: Callable[[Role], list[Segment]]
    lead: str
    image: str  # the token that a picture or a frame is made of
    end: str  # the token that ends a turn
    numbered: str = ""

    def chat(
        self, sample: Sample, image_segments: ImageSegments, frame_tokens: int = 1, reply: bool = True
    ) -> list[Segment]:
        """The whole conversation; with reply=False only the prompt, up to the header of the last assistant turn."""
        turns, streams = decided(sample), bool(sample.frames)
        last = None if reply else _last_reply(sample)
        if self.numbered and len(sample.pictures) > 1:
            image_segments = _counting(self.numbered, image_segments)
        segments = self.begun()
        for place, (turn, decisions) in enumerate(turns):
            if place == last:
                return [*segments, *self.header(turn.role)]
            if turn.role == "frames":
                segments.append(self.seen(decisions, frame_tokens))
            else:
                segments += self.worded(turn, sample.task, channel_of(turn, streams), image_segments)
        return segments

    def begun(self) -> list[Segment]:
        return [Segment(self.begin, control=True)] if self.begin else []

    def seen(self, decisions: tuple[Decision | None, ...], frame_tokens: int) -> Segment:
        """Frames, each of `frame_tokens` image tokens and no more: no wrapping is repeated at every frame."""
        return Segment(self.image * (frame_tokens * len(decisions)), control=True, decisions=decisions)

    def worded(
        self, turn: Turn, task: Task | None, channel: Channel = None, image_segments: ImageSegments | None = None
    ) -> list[Segment]:
        """A whole turn of words, and of pictures where a family's `image_segments` says how they are written."""
        parts = _parts(turn, task)
        segments = [*self.header(turn.role), *(self.led(turn.role, channel) if isinstance(parts[0], str) else [])]
        for part in parts:
            if isinstance(part, str):
                segments.append(Segment(part, channel))
            else:
                assert image_segments is not None, "a stream has no pictures beside its frames"
                segments += image_segments(part)
        return [*segments, *self.closed(channel)]

    def led(self, role: Role, channel: Channel = None) -> list[Segment]:
        """What comes between a header and the text of its turn."""
        return [Segment(self.lead, channel, apart=role in WRITTEN and not self.lead)]

    def closed(self, channel: Channel = None) -> list[Segment]:
        return [Segment(self.end, channel, control=True), LINE]

    def learnt_texts(self, sample: Sample) -> list[str]:
        """What the learnt tokens of each supervised turn must decode to: its text with its lead, and the end token."""
        return [
            f"{self.lead}{said(turn.transitions) if turn.role == 'dst' else turn.text}{self.end}"
            for turn in sample.turns
            if channel_of(turn, stream=True)
        ]


def _counting(words: str, image_segments: ImageSegments) -> ImageSegments:
    numbers = count()
    return lambda picture: [Segment(words.format(number=next(numbers))), *image_segments(picture)]


def channel_of(turn: Turn, stream: bool) -> Channel:
    """What a turn's text teaches, if it does: in a stream what is said and what changes, else the answer."""
    if not turn.learn or turn.role not in WRITTEN:
        return None
    return "dst" if turn.role == "dst" else "speak" if stream else "answer"


def _parts(turn: Turn, task: Task | None) -> tuple[str | Picture, ...]:
    if turn.role == "dst":
        return (said(turn.transitions),)
    parts = tuple(part for part in turn.parts if isinstance(part, str | Picture)) or ("",)
    return (*parts, told(task)) if turn.role == "system" and task else parts


def _last_reply(sample: Sample) -> int:
    replies = [index for index, turn in enumerate(sample.turns) if turn.role == "assistant"]
    if not replies:
        raise UserError(f"sample {sample.id} has no assistant turn, so there is nothing to predict")
    return replies[-1]
