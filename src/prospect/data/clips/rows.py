"""A clip of either form, read into one kind of row: what happens at which frame, and the task it belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from prospect.conversation.dst import Transition, read, state_of
from prospect.conversation.sample import Step, Task
from prospect.data.clips.files import Entry
from prospect.data.clips.turns import Event, frame_at

FPS = 2.0
NUMBERED = re.compile(r"^\s*(\d+)\s*[.):]\s*(.+?)\s*$", re.MULTILINE)  # a step of a recipe
ROLES = ("system", "user", "assistant", "DST_UPDATE", "frames")
SMALL = 200  # characters of an unknown field that is kept
READ = frozenset(  # fields that need not be kept beside what is made of them
    [
        "video_uid",
        "clip_idx",
        "id",
        "frames_file",
        "start_frame_idx",
        "end_frame_idx",
        "fps",
        "metadata",
        "inferred_goal",
        "inferred_knowledge",
        "dst",
        "initial_dst_state",
        "conversation",
        "decisions",
    ]
)


class Fault(ValueError):
    """One clip that cannot be used, with the kind of finding that it becomes."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Clip:
    """A window of one video under one user type. `written` are the turns as the file has them, by `Event.place`."""

    where: str
    split: str
    id: str
    video: str
    user_type: str
    index: int
    frames_file: str
    start: int
    stop: int
    fps: float
    system: str | None
    events: list[Event]
    task: Task | None
    initial: dict[str, str] | None  # as given; None where the file says nothing
    steps: list[dict[str, Any]]  # as given, with their times
    spans: list[tuple[int, int]]  # turns `frames` of the older form
    written: list[dict[str, Any]]
    decide: bool = True  # false for single captioned pictures, at which nothing is decided
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        return f"{self.video}/{self.user_type}/{self.index}"

    def place(self, event: Event) -> str:
        return f"{self.where} (clip {self.id}), turn {event.place}"


def clip_of(entry: Entry) -> Clip:
    """Raises a Fault where something that the clip cannot do without is missing or of another kind."""
    given = entry.content
    if not isinstance(given, dict) or not isinstance(given.get("conversation"), list):
        raise Fault("unknown-schema", "a clip is an object with a list `conversation`")
    written = [_turn(turn, place) for place, turn in enumerate(given["conversation"])]
    spans = [(_number(turn, "start"), _number(turn, "end")) for turn in written if turn["role"] == "frames"]
    fps = _fps(given)
    start, stop = _window(given, spans)
    metadata = given["metadata"] if isinstance(given.get("metadata"), dict) else {}
    video, user_type = _text(given, "video_uid"), str(metadata.get("user_type", ""))
    index = _number(given, "clip_idx") if "clip_idx" in given else 0
    systems = [_words(turn, place) for place, turn in enumerate(written) if turn["role"] == "system"]
    initial = given.get("initial_dst_state")
    if initial is not None and not isinstance(initial, dict):
        raise Fault("unknown-schema", f"initial_dst_state is an object such as {{'S1': 'completed'}}, not {initial!r}")
    steps = _steps(given)
    return Clip(
        where=entry.where,
        split=entry.split,
        id=str(given.get("id") or f"{video}/{user_type}/{index}"),
        video=video,
        user_type=user_type,
        index=index,
        frames_file=_text(given, "frames_file"),
        start=start,
        stop=stop,
        fps=fps,
        system="\n".join(systems) if systems else None,
        events=_events(written, start, fps),
        task=_task(given, steps, initial),
        initial=initial,
        steps=steps,
        spans=spans,
        written=written,
        decide=given.get("decisions", True) is not False,
        meta=_meta(given, metadata, written) | {"where": entry.where, "video": video, "user_type": user_type},
    )


def _turn(turn: Any, place: int) -> dict[str, Any]:
    role = turn.get("role") if isinstance(turn, dict) else None
    if role not in ROLES:
        raise Fault("unknown-schema", f"turn {place}: unknown role {role!r}; accepted are {', '.join(ROLES)}")
    return turn


def _fps(given: dict[str, Any]) -> float:
    fps = given.get("fps", FPS)
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < 1000:
        raise Fault("unknown-schema", f"fps is {fps!r}: frames a second of the store are expected")
    return float(fps)


def _window(given: dict[str, Any], spans: list[tuple[int, int]]) -> tuple[int, int]:
    """The clip's own frames; in the older form they may be told by its turns `frames` alone."""
    if "start_frame_idx" in given or not spans:
        start, stop = _number(given, "start_frame_idx"), _number(given, "end_frame_idx")
    else:
        start, stop = min(first for first, _ in spans), max(end for _, end in spans)
    if not 0 <= start < stop:
        raise Fault("empty-clip", f"frames {start} to {stop}: the end is exclusive and must lie after the start")
    return start, stop


def _events(written: list[dict[str, Any]], start: int, fps: float) -> list[Event]:
    """In time order. A turn of the older form that has no time happens at the last frame seen before it."""
    seen, events = start, []
    tiled = any(turn["role"] == "frames" for turn in written)
    for place, turn in enumerate(written):
        if turn["role"] == "frames":
            seen = max(start, turn["end"] - 1)
        elif turn["role"] != "system":
            events.append(_event(turn, place, seen, fps, tiled))
    return sorted(events, key=lambda event: event.frame)


def _event(turn: dict[str, Any], place: int, seen: int, fps: float, tiled: bool) -> Event:
    time, role, kind = turn.get("time"), turn["role"], kind_of(turn)
    finite = isinstance(time, int | float) and not isinstance(time, bool) and isfinite(time)
    if not finite and (time is not None or not tiled):
        raise Fault("no-time", f"turn {place} ({role}): time is {time!r}; seconds from the video's start are expected")
    frame = seen if time is None else frame_at(time, fps)
    if role == "DST_UPDATE":
        return Event(frame, "dst", "", _transitions(turn.get("content"), place), kind, place)
    return Event(frame, "user" if role == "user" else "assistant", _words(turn, place), (), kind, place)


def kind_of(turn: dict[str, Any]) -> str:
    """What kind of event it is: said outright, or the last part of its labels (`initiative|instruction`)."""
    return str(turn.get("event") or str(turn.get("labels") or "").rpartition("|")[2]).strip()


def _words(turn: dict[str, Any], place: int) -> str:
    content = turn.get("content")
    if isinstance(content, list):  # [{type: text, text: …}] says the same as a plain string
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if not isinstance(content, str) or (not content.strip() and turn["role"] != "system"):
        raise Fault("unknown-schema", f"turn {place} ({turn['role']}): content must be a text, not {content!r}")
    return content


def _transitions(content: Any, place: int) -> tuple[Transition, ...]:
    try:
        if isinstance(content, str):
            return tuple(read(content))
        changes = tuple(Transition(str(change["id"]), change["transition"]) for change in content)
    except (ValueError, KeyError, TypeError) as error:
        raise Fault("bad-update", f"turn {place}: {content!r} is no list of {{id, transition}}: {error}") from error
    if not changes:
        raise Fault("bad-update", f"turn {place}: an update without transitions")
    return changes


def _steps(given: dict[str, Any]) -> list[dict[str, Any]]:
    listed = given.get("dst") or []
    if not isinstance(listed, list) or not all(isinstance(step, dict) for step in listed):
        raise Fault("unknown-schema", "dst is a list of steps, each an object with id and name")
    return [step for step in listed if step.get("type", "step") == "step"]


def _task(given: dict[str, Any], listed: list[dict[str, Any]], initial: dict[str, Any] | None) -> Task | None:
    """The steps of `dst`; where there are none, the numbered lines of the recipe."""
    goal, recipe = str(given.get("inferred_goal") or ""), str(given.get("inferred_knowledge") or "")
    steps = tuple(Step(_text(step, "id"), _text(step, "name")) for step in listed)
    steps = steps or tuple(Step(f"S{number}", name) for number, name in NUMBERED.findall(recipe))
    if not goal and not steps:
        return None
    ids = [step.id for step in steps]
    if len(set(ids)) < len(ids):
        raise Fault("bad-steps", f"the ids of the steps are not unique: {', '.join(ids)}")
    try:
        for name in ids:
            Transition(name, "start")  # refuses ids that an update cannot name
        return Task(goal, steps, state_of(ids, initial))
    except ValueError as error:
        raise Fault("bad-steps", f"initial_dst_state or steps: {error}") from error


def _text(given: dict[str, Any], key: str) -> str:
    if not isinstance(given.get(key), str) or not given[key].strip():
        raise Fault("unknown-schema", f"{key} must be a text, not {given.get(key)!r}")
    return given[key].strip()


def _number(given: dict[str, Any], key: str) -> int:
    if isinstance(given.get(key), bool) or not isinstance(given.get(key), int):
        raise Fault("unknown-schema", f"{key} must be a whole number, not {given.get(key)!r}")
    return given[key]


def _meta(given: dict[str, Any], metadata: dict[str, Any], written: list[dict[str, Any]]) -> dict[str, Any]:
    """What else the file says, as far as it is small; of older clips also the running summaries."""
    kept = {key: value for key, value in given.items() if key not in READ and len(repr(value)) <= SMALL}
    kept |= {key: value for key, value in metadata.items() if len(repr(value)) <= SMALL}
    progress = [[place, turn["progress"]] for place, turn in enumerate(written) if turn.get("progress")]
    return kept | ({"progress": progress} if progress else {})
