"""Clips of the assembly world in the form of DST clip files: a window of a story, told by turns.

The assistant behaves alike for every user; user types differ in how many questions are asked. A question is asked at a
frame at which nothing happens and answered at the next one, which looks alike; the answer is what can be seen there.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from prospect.data.assembly.presets import Preset, settings
from prospect.data.assembly.story import Event, Part, Scene, Story, story

FPS = 2
USER_TYPES = ("no_talk", "talk_some", "talk_more")
QUESTIONS = {"no_talk": (0, 0), "talk_some": (1, 1), "talk_more": (2, 3)}  # least and most in a clip …
PATIENCE = 600  # … and again after so many frames
SYSTEM = "You see the parts of a toy and name the next part, what is wrong and what is done."
GOAL = "Attach all parts of the toy"
WHICH, WHAT = "Which part is this?", "What do I do now?"
LABELS = {
    "next": "initiative|instruction",
    "crooked": "initiative|correction",
    "wrong": "initiative|correction",
    "good": "initiative|feedback",
    "end": "initiative|feedback",
}
ADVICE = {"lies": "Take", "carried": "Attach", "crooked": "Turn", "turned": "Turn"}
TRANSITIONS = {"start": "in_progress", "complete": "completed"}


def clip(seed: int, split: str, index: int, preset: str = "easy") -> dict[str, Any]:
    """One clip as clip files hold it. User types go round, so that any first n clips are balanced."""
    told = story(seed, split, index, preset)
    rng = Random(f"{seed} {split} {index} window")
    user_type, uid = USER_TYPES[index % len(USER_TYPES)], f"toy_{split}_{index:05d}"
    start, end = window(told, settings(preset, split), rng)
    tenths = [5 * frame + rng.randrange(5) for frame in range(len(told.scenes))]  # an event is within its frame
    initial = _replayed(told, start)
    turns = sorted(
        [*_event_turns(told, start, end), *_talk(told, start, end, user_type, rng)], key=lambda turn: turn[0]
    )
    return {
        "video_uid": uid,
        "dataset": "assembly101_dst_demo",
        "clip_idx": 0,
        "id": f"{uid}_{user_type}_0",
        "frames_file": f"frames/{uid}.arrow",
        "start_frame_idx": start,
        "end_frame_idx": end,
        "fps": FPS,
        "inferred_goal": GOAL,
        "inferred_knowledge": "\n".join(
            ["The toy", *(f"{n}. {step_name(part)}" for n, part in enumerate(told.parts, 1))]
        ),
        "dst": _steps(told, tenths),
        "initial_dst_state": initial,
        "conversation": [{"role": "system", "content": SYSTEM}, *_timed(turns, tenths, start, initial)],
        "metadata": {"user_type": user_type, "preset": preset},
    }


def step_name(part: Part) -> str:
    return f"Attach the {part.name}"


def utterance(event: Event) -> str | None:
    """What the assistant says by itself; None at events that only change the state."""
    name = event.part.name if event.part else ""
    return {
        "next": f"{'First' if event.first else 'Next'} is the {name}.",
        "crooked": f"Stop. The {name} is wrong. Turn it.",
        "wrong": f"Stop. The {name} is wrong. Put it back.",
        "good": f"Good, {'now ' if event.mended else ''}the {name} is in place.",
        "end": "All done.",
    }.get(event.kind)


def window(told: Story, rules: Preset, rng: Random) -> tuple[int, int]:
    """Half of the clips start in the middle, half of those so late that the end is seen.

    None starts right at or after an event, which would be a riddle. Other than `anytime`, they start only where the
    state says all there is to know.
    """
    shortest, longest = rules.frames
    whole, last = len(told.scenes), told.events[-1].frame
    wanted = longest if rules.lasts else rng.randint(shortest, longest)  # of a long video, all that is left
    busy = {event.frame + after for event in told.events for after in range(-1, 2)}
    ahead = range(1, min(last, whole - shortest + 1))  # something is still to come
    starts = [frame for frame in ahead if frame not in busy and (rules.anytime or _settled(told, told.scenes[frame]))]
    late = [frame for frame in starts if frame >= whole - wanted]
    start = rng.choice(rng.choice((starts, late)) or starts) if starts and rng.random() < 0.5 else 0
    return start, min(whole, start + wanted)


def _settled(told: Story, scene: Scene) -> bool:
    """The state says all there is to know: nothing is there, or a part of the list is in the hands."""
    return scene.toy and (scene.part is None or (scene.manner == "carried" and scene.part in told.parts))


def _replayed(told: Story, start: int) -> dict[str, str]:
    steps = {part: f"S{n}" for n, part in enumerate(told.parts, 1)}
    done = [event for event in told.events if event.frame < start and event.kind in TRANSITIONS]
    state = {steps[event.part]: TRANSITIONS[event.kind] for event in done if event.part}
    return {step: state[step] for step in steps.values() if step in state}


def _steps(told: Story, tenths: list[int]) -> list[dict[str, Any]]:
    at = {(event.kind, event.part): tenths[event.frame] / 10 for event in told.events}
    return [
        {
            "type": "step",
            "id": f"S{n}",
            "start_ts": at["start", part],
            "end_ts": at["complete", part],
            "name": step_name(part),
        }
        for n, part in enumerate(told.parts, 1)
    ]


Turn = tuple[int, dict[str, Any]]  # frame, and what the turn has besides times and state


def _event_turns(told: Story, start: int, end: int) -> Iterator[Turn]:
    steps = {part: f"S{n}" for n, part in enumerate(told.parts, 1)}
    rank = {"complete": 0, "start": 1}
    for event in sorted(told.events, key=lambda event: (event.frame, rank.get(event.kind, 2))):
        if not start <= event.frame < end:
            continue
        said = utterance(event)
        if said is None and event.part:
            change = [{"id": steps[event.part], "transition": event.kind}]
            yield event.frame, {"role": "DST_UPDATE", "content": change, "labels": "", "event": event.kind}
        else:
            yield event.frame, {"role": "assistant", "content": said, "labels": LABELS[event.kind], "event": event.kind}


def _talk(told: Story, start: int, end: int, user_type: str, rng: Random) -> Iterator[Turn]:
    """Questions at quiet frames, never two at once, each with its answer one frame later."""
    taken = {event.frame for event in told.events}
    wanted = sum(rng.randint(*QUESTIONS[user_type]) for _ in range(1 + (end - start) // PATIENCE))
    for frame in rng.sample(range(start + 2, end - 1), end - start - 3):
        both, seen = {frame, frame + 1}, told.scenes[frame + 1]
        if wanted == 0 or both & taken or not (_alike(told.scenes[frame], seen) and _answerable(told, seen)):
            continue
        question = rng.choice((WHICH, WHAT)) if seen.part else WHAT
        yield frame, {"role": "user", "content": question, "labels": ""}
        reply = {"role": "assistant", "content": answer(question, seen), "labels": "responsive", "event": "answer"}
        yield frame + 1, reply
        taken |= both
        wanted -= 1


def _alike(before: Scene, after: Scene) -> bool:
    return (before.part, before.manner) == (after.part, after.manner)


def _answerable(told: Story, seen: Scene) -> bool:
    """A part of the list waits or is worked on, or one is still to come."""
    if seen.part and seen.manner != "fixed":
        return seen.part in told.parts
    return seen.toy and len(seen.placed) < len(told.parts)


def answer(question: str, seen: Scene) -> str:
    """What there is to say about a scene."""
    if seen.part and question == WHICH:
        return f"It is the {seen.part.name}."
    if seen.part and seen.manner in ADVICE:
        return f"{ADVICE[seen.manner]} the {seen.part.name}."
    return "Wait for the next part."


def _timed(turns: list[Turn], tenths: list[int], start: int, initial: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Adds to each turn its time, the frames since the turn before, and the state before it."""
    state, seen = dict(initial), start
    for frame, turn in turns:
        times = {"time": tenths[frame] / 10, "start_frame": min(seen, frame), "end_frame": frame + 1}
        yield {**turn, **times, "dst_state": dict(state)}
        seen = frame + 1
        if turn["role"] == "DST_UPDATE":
            state |= {change["id"]: TRANSITIONS[change["transition"]] for change in turn["content"]}
