"""Streams drawn at random: users, frames, legal transitions and utterances, with texts that try to break out."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import pytest
from hypothesis import strategies as st
from tests.conversation.texts import texts

from prospect.conversation.chat import ChatFormat
from prospect.conversation.dst import Transition, applied, legal
from prospect.conversation.nanovlm import NANOVLM
from prospect.conversation.qwen3_vl import QWEN3_VL
from prospect.conversation.sample import Frames, Sample, Step, Task, Turn
from prospect.conversation.segments import Segment
from prospect.conversation.smolvlm import SMOLVLM

STATUSES = st.sampled_from(["not_started", "in_progress", "completed"])


@st.composite
def drawn(draw, hostile: bool = True, context: bool = True, longest: int = 9) -> Sample:
    """A stream. With `context` some of its spans, and what happens at their ends, are not to be learnt."""
    text = texts(hostile, pieces=4, longest=5)
    steps = tuple(Step(f"S{number}", draw(text)) for number in range(1, draw(st.integers(1, 4)) + 1))
    task = Task(draw(text), steps, {step.id: draw(STATUSES) for step in steps})
    turns, state, start = [Turn("system", (draw(text),))], task.state, draw(st.integers(0, 500))
    for _ in range(draw(st.integers(1, 6))):
        turns += [Turn("user", (said,)) for said in draw(st.lists(text, max_size=2))]
        learn = not context or draw(st.integers(0, 3)) > 0
        stop = start + draw(st.integers(1, longest))
        turns.append(Turn("frames", (Frames(start, stop),), learn))
        start = stop
        changes: list[Transition] = []
        for _ in range(draw(st.sampled_from([0, 0, 1, 2, 3]))):
            if options := legal(state):
                changes.append(draw(st.sampled_from(options)))
                state = applied(state, changes[-1:])
        if changes:
            turns.append(Turn("dst", tuple(changes), learn))
        if draw(st.booleans()):
            turns.append(Turn("assistant", (draw(text),), learn, draw(st.sampled_from(["", "next", "end"]))))
    if draw(st.integers(0, 4)) == 0:
        turns.append(Turn("user", (draw(text),)))
    return Sample("clip", tuple(turns), task=task)


@pytest.fixture(scope="session")
def streams():
    return drawn


class Family(NamedTuple):
    """A chat format with a tokenizer of its family; `picture` is what it writes for one."""

    format: ChatFormat
    tokenizer: Any
    picture: list[Segment]

    def id(self, token: str) -> int:
        return self.tokenizer.convert_tokens_to_ids(token)

    def normal(self, text: str) -> str:
        """What the tokenizer makes of a text before it looks at it."""
        normalizer = self.tokenizer.backend_tokenizer.normalizer
        return text if normalizer is None else normalizer.normalize_str(text)

    def parts(self, answer: str) -> bool:
        """Whether the tokenizer itself parts a header from an answer: Qwen's joins newlines, SmolLM2's all blanks."""
        joined = {SMOLVLM: r"(?!)", QWEN3_VL: r"\s*[\r\n]", NANOVLM: r"\s"}
        return not re.match(joined[self.format], answer)


TILE = Segment("<fake_token_around_image><global-img><image><fake_token_around_image>", control=True)
PATCH = Segment("<|vision_start|><|image_pad|><|vision_end|>", control=True)
WHOLE = Segment("<|global_image|><|image|>", control=True)
FAMILIES = {
    "smolvlm-small": (SMOLVLM, "small_tokenizer", TILE),
    "smolvlm-published": (SMOLVLM, "true_tokenizer", TILE),
    "qwen-small": (QWEN3_VL, "small_qwen_tokenizer", PATCH),
    "qwen-published": (QWEN3_VL, "true_qwen_tokenizer", PATCH),
    "nanovlm-small": (NANOVLM, "small_nanovlm_tokenizer", WHOLE),
    "nanovlm-published": (NANOVLM, "true_nanovlm_tokenizer", WHOLE),
}


@pytest.fixture(scope="session", params=FAMILIES)
def family(request) -> Family:
    chat, tokenizer, picture = FAMILIES[request.param]
    return Family(chat, request.getfixturevalue(tokenizer), [picture])
