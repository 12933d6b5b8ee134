"""The chat format of nanoVLM: ChatML without a system prompt of its own.

    <|im_start|>user
    <|global_image|><|image|>…<row_1_col_1><|image|>…question<|im_end|>
    <|im_start|>assistant
    answer<|im_end|>

Where a conversation has several pictures, `<image: 0>`, `<image: 1>` … stand before them, as ordinary words. nanoVLM's
own data have all pictures before the first message's words; here each stays where it was written. A stream is written
as Qwen3-VL's is.

Several blanks or newlines are one token, so an answer that begins with some would join its header's newline. A model is
prompted with the header alone, so what it writes is tokenised by itself.
"""

from __future__ import annotations

from prospect.conversation.chat import ChatFormat
from prospect.conversation.sample import Role
from prospect.conversation.segments import Segment

START = Segment("<|im_start|>", control=True)


def _header(role: Role) -> list[Segment]:
    return [START, Segment(f"{role}\n")]


NANOVLM = ChatFormat(
    begin="", header=_header, lead="", image="<|image|>", end="<|im_end|>", numbered="<image: {number}>"
)
