"""The chat format of Qwen3-VL.

    <|im_start|>user
    <|vision_start|><|image_pad|>…<|vision_end|>question<|im_end|>
    <|im_start|>assistant
    answer<|im_end|>

A stream:

    <|im_start|>system
    … State: S1:in_progress<|im_end|>
    <|image_pad|><|image_pad|><|im_start|>dst
    S1->complete<|im_end|>
    <|im_start|>assistant
    Good, the red disc is in place.<|im_end|>
    <|image_pad|>…

Nothing parts a header's newline from an answer that itself begins with one, and the tokenizer has one token for both.
A model is prompted with the header alone, so what it writes is tokenised by itself.
"""

from __future__ import annotations

from prospect.conversation.chat import ChatFormat
from prospect.conversation.sample import Role
from prospect.conversation.segments import Segment

START = Segment("<|im_start|>", control=True)


def _header(role: Role) -> list[Segment]:
    return [START, Segment(f"{role}\n")]


QWEN3_VL = ChatFormat(begin="", header=_header, lead="", image="<|image_pad|>", end="<|im_end|>")
