"""The chat format of SmolVLM2.

    <|im_start|>User:<image…>question<end_of_utterance>
    Assistant: answer<end_of_utterance>

`<|im_start|>` stands once, at the beginning. The blank after the colon belongs to the text (none before a picture).
A stream:

    <|im_start|>System: … State: S1:in_progress<end_of_utterance>
    <image><image><image>DST: S1->complete<end_of_utterance>
    Assistant: Good, the red disc is in place.<end_of_utterance>
    <image><image>…
"""

from __future__ import annotations

from prospect.conversation.chat import ChatFormat
from prospect.conversation.sample import Role
from prospect.conversation.segments import Segment

DST = "DST"


def _header(role: Role) -> list[Segment]:
    return [Segment(f"{DST if role == 'dst' else role.capitalize()}:")]


SMOLVLM = ChatFormat(begin="<|im_start|>", header=_header, lead=" ", image="<image>", end="<end_of_utterance>")
