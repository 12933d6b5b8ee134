"""Dialogue state: what each step of a task is at, how it may change, and how both are written and read back.

    not_started --start--> in_progress --complete--> completed

Nothing else is legal. State text: `S1:completed, S2:in_progress`. Update text: `S1->complete, S2->start`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

Status = Literal["not_started", "in_progress", "completed"]
Action = Literal["start", "complete"]
State = dict[str, Status]  # in the order of the task's steps; every step is in it

NEXT: dict[tuple[Status, Action], Status] = {
    ("not_started", "start"): "in_progress",
    ("in_progress", "complete"): "completed",
}
STEP = r"[A-Za-z0-9_.]+"  # what a step id may be made of: no comma, arrow, colon or blank, which part the texts


class IllegalTransition(ValueError):
    """Names the step, what it was at, and what was asked of it."""


@dataclass(frozen=True)
class Transition:
    step: str
    action: Action

    def __post_init__(self) -> None:
        if not re.fullmatch(STEP, self.step):
            raise ValueError(f"step id {self.step!r}: letters, digits, _ and . only, so that updates can be read back")
        if self.action not in get_args(Action):
            raise ValueError(f"step {self.step}: unknown transition {self.action!r}; there are start and complete")


def state_of(steps: Iterable[str], given: Mapping[str, str] | None = None) -> State:
    """Every step of a task with its status; those that `given` leaves out have not started."""
    state: State = dict.fromkeys(steps, "not_started")
    for step, status in (given or {}).items():
        if step not in state:
            raise ValueError(f"state names step {step}, which the task does not have")
        if status not in get_args(Status):
            raise ValueError(f"step {step}: unknown status {status!r}; there are {', '.join(get_args(Status))}")
        state[step] = cast(Status, status)
    return state


def applied(state: State, transitions: Iterable[Transition]) -> State:
    """The state after the transitions, one after the other. The given state stays as it is."""
    after = dict(state)
    for transition in transitions:
        status = after.get(transition.step)
        if status is None:
            raise IllegalTransition(f"{transition.step}->{transition.action}: the task has no such step")
        if (status, transition.action) not in NEXT:
            raise IllegalTransition(f"{transition.step}->{transition.action}: the step is {status}")
        after[transition.step] = NEXT[status, transition.action]
    return after


def legal(state: State) -> list[Transition]:
    """Every transition that the state allows, in the order of the steps: one for each step that is not completed."""
    return [Transition(step, action) for step, now in state.items() for (status, action) in NEXT if status == now]


def said(transitions: Iterable[Transition]) -> str:
    """Exactly what is learnt, and what `read` takes back."""
    return ", ".join(f"{transition.step}->{transition.action}" for transition in transitions)


def read(text: str) -> list[Transition]:
    """The transitions of an update text. ValueError where it is no update, as a model's own may be."""
    found = [re.fullmatch(rf"({STEP})->(start|complete)", piece) for piece in text.split(", ")]
    if not all(found):
        raise ValueError(f"{text!r} is no update; one looks like S1->complete, S2->start")
    return [Transition(match[1], cast(Action, match[2])) for match in found if match]


def said_state(state: State) -> str:
    return ", ".join(f"{step}:{status}" for step, status in state.items())


def read_state(text: str) -> State:
    found = [re.fullmatch(rf"({STEP}):({'|'.join(get_args(Status))})", piece) for piece in text.split(", ")]
    if not all(found):
        raise ValueError(f"{text!r} is no state; one looks like S1:completed, S2:in_progress")
    return {match[1]: cast(Status, match[2]) for match in found if match}
