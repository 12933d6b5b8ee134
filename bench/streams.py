"""Conversations of the length of real ones, made up: what the claims about streams are measured on."""

from __future__ import annotations

from random import Random

from prospect.conversation.dst import Transition, state_of
from prospect.conversation.sample import Frames, Sample, Step, Task, Turn

TEXT = "take put attach turn the a red blue green disc bar ring wheel next then now good wait here part"
WORDS = TEXT.split()
SAY, CHANGE, ASK = 0.6, 0.25, 0.15  # shares of turns


def stream(frames: int, turns: int, seed: int = 0) -> Sample:
    """A conversation of `turns` turns over `frames` frames; every turn says about eight words."""
    random = Random(seed)
    steps = [Step(f"S{n}", _words(random, 4)) for n in range(1, turns // 8 + 2)]
    changes = [Transition(step.id, action) for step in steps for action in ("start", "complete")]
    at = sorted(random.sample(range(1, frames), turns))
    told = [Turn("system", (_words(random, 20),))]
    for start, stop in zip([0, *at], [*at, frames], strict=True):
        told.append(Turn("frames", (Frames(start, stop),)))
        if stop == frames:
            break
        kind = random.random()
        if kind < SAY:
            told.append(Turn("assistant", (_words(random, 8),)))
        elif kind < SAY + CHANGE and changes:
            told.append(Turn("dst", (changes.pop(0),)))
        else:
            told.append(Turn("user", (_words(random, 8),)))
    return Sample(f"stream-{seed}", tuple(told), task=Task("a toy", tuple(steps), state_of(s.id for s in steps)))


def _words(random: Random, count: int) -> str:
    return " ".join(random.choices(WORDS, k=count)).capitalize() + "."
