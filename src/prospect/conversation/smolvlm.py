"""The chat format of SmolVLM2, written as segments.

    <|im_start|>User:<image…>question<end_of_utterance>
    Assistant: answer<end_of_utterance>

`<|im_start|>` stands once, at the beginning. The blank after the colon belongs to the text (none before a picture).
In a stream every frame is a few `<image>` alone, and what happens at a frame follows it:

    <|im_start|>System: … State: S1:in_progress<end_of_utterance>
    <image><image><image>DST: S1->complete<end_of_utterance>
    Assistant: Good, the red disc is in place.<end_of_utterance>
    <image><image>…
"""

from __future__ import annotations

from collections.abc import Callable

from prospect.conversation.dst import said
from prospect.conversation.sample import Picture, Role, Sample, Task, Turn
from prospect.conversation.segments import Channel, Decision, Segment
from prospect.conversation.stream import decided, told
from prospect.errors import UserError

BEGIN = Segment("<|im_start|>", control=True)
END = "<end_of_utterance>"
IMAGE = "<image>"
LINE = Segment("\n")
DST = "DST"

ImageSegments = Callable[[Picture], list[Segment]]


def chat(sample: Sample, image_segments: ImageSegments, frame_tokens: int = 1, reply: bool = True) -> list[Segment]:
    """The whole conversation; with reply=False only the prompt, up to the header of the last assistant turn."""
    turns, streams = decided(sample), bool(sample.frames)
    last = None if reply else _last_reply(sample)
    segments = [BEGIN]
    for place, (turn, decisions) in enumerate(turns):
        if place == last:
            return [*segments, opened(turn.role)]
        if turn.role == "frames":
            segments.append(seen(decisions, frame_tokens))
        else:
            segments += worded(turn, sample.task, channel_of(turn, streams), image_segments)
    return segments


def seen(decisions: tuple[Decision | None, ...], frame_tokens: int) -> Segment:
    """Frames, each of `frame_tokens` image tokens and no more: no wrapping is repeated at every frame."""
    return Segment(IMAGE * (frame_tokens * len(decisions)), control=True, decisions=decisions)


def worded(
    turn: Turn, task: Task | None, channel: Channel = None, image_segments: ImageSegments | None = None
) -> list[Segment]:
    """A whole turn of words, and of pictures where a family's `image_segments` says how they are written."""
    parts = _parts(turn, task)
    segments = [opened(turn.role), *(spoken("", channel) if isinstance(parts[0], str) else [])]
    for part in parts:
        if isinstance(part, str):
            segments.append(Segment(part, channel))
        else:
            assert image_segments is not None, "a stream has no pictures beside its frames"
            segments += image_segments(part)
    return [*segments, *closed(channel)]


def opened(role: Role) -> Segment:
    """The header of a turn. What follows it, the blank first, is the turn's own."""
    return Segment(f"{DST if role == 'dst' else role.capitalize()}:")


def spoken(text: str, channel: Channel = None) -> list[Segment]:
    """A text as it stands between the header and the end of its turn."""
    return [Segment(" ", channel), Segment(text, channel)]


def closed(channel: Channel = None) -> list[Segment]:
    return [Segment(END, channel, control=True), LINE]


def _parts(turn: Turn, task: Task | None) -> tuple[str | Picture, ...]:
    if turn.role == "dst":
        return (said(turn.transitions),)
    parts = tuple(part for part in turn.parts if isinstance(part, str | Picture)) or ("",)
    return (*parts, told(task)) if turn.role == "system" and task else parts


def channel_of(turn: Turn, stream: bool) -> Channel:
    """What a turn's text teaches, if it does: in a stream what is said and what changes, else the answer."""
    if not turn.learn or turn.role not in ("assistant", "dst"):
        return None
    return "dst" if turn.role == "dst" else "speak" if stream else "answer"


def _last_reply(sample: Sample) -> int:
    replies = [index for index, turn in enumerate(sample.turns) if turn.role == "assistant"]
    if not replies:
        raise UserError(f"sample {sample.id} has no assistant turn, so there is nothing to predict")
    return replies[-1]


def learnt_texts(sample: Sample) -> list[str]:
    """What the learnt tokens of each supervised turn must decode to: its text, led by a blank, and the end token."""
    return [
        f" {said(turn.transitions) if turn.role == 'dst' else turn.text}{END}"
        for turn in sample.turns
        if channel_of(turn, stream=True)
    ]
