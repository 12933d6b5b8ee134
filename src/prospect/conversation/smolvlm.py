"""The chat format of SmolVLM2, written as segments.

    <|im_start|>User:<image…>question<end_of_utterance>
    Assistant: answer<end_of_utterance>

`<|im_start|>` stands once, at the beginning. The blank after the colon belongs to the text (none before a picture).
"""

from __future__ import annotations

from collections.abc import Callable

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import Segment
from prospect.errors import UserError

BEGIN = Segment("<|im_start|>", control=True)
END = "<end_of_utterance>"
LINE = Segment("\n")
CHANNEL = "answer"

ImageSegments = Callable[[Picture], list[Segment]]


def chat(sample: Sample, image_segments: ImageSegments, reply: bool = True) -> list[Segment]:
    """The whole conversation; with reply=False only the prompt, up to the header of the last assistant turn."""
    turns = sample.turns if reply else _before_last_reply(sample)
    segments = [BEGIN]
    for turn in turns:
        segments += _turn(turn, image_segments)
    return segments if reply else [*segments, Segment("Assistant:")]


def _turn(turn: Turn, image_segments: ImageSegments) -> list[Segment]:
    channel = CHANNEL if turn.role == "assistant" and turn.learn else None
    parts = turn.parts or ("",)
    segments = [Segment(f"{turn.role.capitalize()}:")]
    if isinstance(parts[0], str):
        segments.append(Segment(" ", channel))
    for part in parts:
        segments += [Segment(part, channel)] if isinstance(part, str) else image_segments(part)
    return [*segments, Segment(END, channel, control=True), LINE]


def _before_last_reply(sample: Sample) -> tuple[Turn, ...]:
    replies = [index for index, turn in enumerate(sample.turns) if turn.role == "assistant"]
    if not replies:
        raise UserError(f"sample {sample.id} has no assistant turn, so there is nothing to predict")
    return sample.turns[: replies[-1]]


def learnt_texts(sample: Sample) -> list[str]:
    """What the learnt tokens of each supervised turn must decode to: its text, led by a blank, and the end token."""
    return [f" {turn.text}{END}" for turn in sample.turns if turn.role == "assistant" and turn.learn]
