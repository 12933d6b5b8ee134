"""What a stream teaches, whatever the model family: the decision at each frame, and what the system prompt says."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, takewhile

from prospect.conversation.dst import said_state
from prospect.conversation.sample import Sample, Task, Turn
from prospect.conversation.segments import Decision
from prospect.errors import UserError

SILENT = Decision()


def told(task: Task) -> str:
    """The task as the system prompt tells it: the steps by id and name, and what each is at when the sample begins,
    unless the task keeps that to itself."""
    steps = "".join(f"\n{step.id}: {step.name}" for step in task.steps)
    state = f"\nState: {said_state(task.state)}" if task.tell_state else ""
    return f"\nGoal: {task.goal}\nSteps:{steps}{state}"


def decided(sample: Sample) -> Iterator[tuple[Turn, tuple[Decision | None, ...]]]:
    """Every turn, those of frames with the right decision at each of their frames; None where it is mere context."""
    for place, turn in enumerate(sample.turns):
        yield turn, _decisions(sample, place, turn) if turn.role == "frames" else ()


def _decisions(sample: Sample, place: int, turn: Turn) -> tuple[Decision | None, ...]:
    if not len(turn.frames):
        raise UserError(f"sample {sample.id}: turn {place + 1} is a span of no frames; leave it out")
    rest = list(takewhile(lambda later: later.role != "frames", islice(sample.turns, place + 1, None)))
    after = list(takewhile(_happens, rest))
    if [event.role for event in after] not in ([], ["dst"], ["assistant"], ["dst", "assistant"]):
        raise UserError(f"sample {sample.id}: a frame is followed by one turn of transitions and one utterance at most")
    if not turn.learn:
        return (None,) * len(turn.frames)
    if not all(event.learn for event in after):
        raise UserError(f"sample {sample.id}: what happens at a learnt frame must be learnt, or silence would be")
    if any(later.learn for later in rest[len(after) :] if _happens(later)):
        raise UserError(
            f"sample {sample.id}: a user's turn parts what happens at a frame from it; say it before the frame"
        )
    roles = {event.role for event in after}
    last = Decision("assistant" in roles, "dst" in roles, tuple(kind for event in after for kind in _kinds(event)))
    return (SILENT,) * (len(turn.frames) - 1) + (last if after else SILENT,)


def _happens(turn: Turn) -> bool:
    return turn.role in ("dst", "assistant")


def _kinds(event: Turn) -> Iterator[str]:
    if event.role == "dst":
        yield from (f"dst/{transition.action}" for transition in event.transitions)
    else:
        yield f"speak/{event.kind or 'utterance'}"
