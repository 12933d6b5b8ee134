"""What is wrong with clips: every check yields findings, and names the clips that they make unusable."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from prospect.conversation.dst import IllegalTransition, State, applied, state_of
from prospect.conversation.sample import Frames
from prospect.data.clips.rows import Clip, Fault
from prospect.data.clips.turns import Event, frame_at, moments
from prospect.data.findings import Finding
from prospect.data.splits import SPLITS

Flaw = tuple[Finding, Clip | None]  # what was found, and the clip that cannot be used because of it


@dataclass
class Audit:
    """The usable clips with their frames, and all that was found."""

    clips: list[tuple[Clip, Frames]]
    findings: list[Finding] = field(default_factory=list)


def audit(clips: list[Clip], frames: Callable[[Clip], Frames], long_clip: int) -> Audit:
    """All checks. `frames` finds a clip's footage or raises a Fault; `long_clip` is the length worth a warning."""
    flaws, found = _footage(clips, frames)
    for clip in clips:
        flaws += (
            [_flaw("empty-conversation", clip, "nobody says anything and nothing changes")] if not clip.events else []
        )
        outside = list(_outside(clip))
        flaws += outside or _crowded(clip)
        flaws += _transitions(clip)
        flaws += _initial(clip)
        flaws += _spans(clip)
        flaws += _long(clip, long_clip)
    flaws += _duplicates(clips)
    flaws += _overlaps(clips)
    bad = {clip.where for _, clip in flaws if clip}
    kept = [(clip, found[clip.where]) for clip in clips if clip.where not in bad]
    return Audit(kept, [finding for finding, _ in flaws] + list(_empty([clip for clip, _ in kept])))


def _flaw(kind: str, clip: Clip, message: str) -> Flaw:
    return Finding(kind, "error", clip.split, clip.id, f"{clip.where} (clip {clip.id}): {message}"), clip


def _warning(kind: str, clip: Clip, message: str) -> Flaw:
    return Finding(kind, "warning", clip.split, clip.id, f"{clip.where} (clip {clip.id}): {message}"), None


def _footage(clips: list[Clip], frames: Callable[[Clip], Frames]) -> tuple[list[Flaw], dict[str, Frames]]:
    flaws, found = [], {}
    for clip in clips:
        try:
            found[clip.where] = frames(clip)
        except Fault as fault:
            flaws.append(_flaw(fault.kind, clip, str(fault)))
    return flaws, found


def _outside(clip: Clip) -> Iterator[Flaw]:
    for event in clip.events:
        if not clip.start <= event.frame < clip.stop:
            window = f"frames {clip.start} to {clip.stop}"
            yield _flaw(
                "outside", clip, f"turn {event.place} ({event.role}) is at frame {event.frame}, not in {window}"
            )


def _crowded(clip: Clip) -> Iterator[Flaw]:
    """What `moments` could not keep apart."""
    for event in moments(clip.events, clip.start, clip.stop)[1]:
        yield _warning(
            "crowded-end",
            clip,
            f"turn {event.place} answers a user at the last frame, where something was said before: joined to that",
        )


def _transitions(clip: Clip) -> Iterator[Flaw]:
    """Replays the clip. A recorded state that differs is a warning: transitions are learnt, and it is never read."""
    if clip.task is None:
        changed = [event for event in clip.events if event.role == "dst"]
        yield from (_flaw("illegal-transition", clip, f"turn {event.place}: no task, no steps") for event in changed)
        return
    state, differing = clip.task.state, []
    for event in clip.events:
        recorded = clip.written[event.place].get("dst_state")
        if isinstance(recorded, dict) and not _same(recorded, state):
            differing.append(event)
        for transition in event.transitions:
            try:
                state = applied(state, [transition])
            except IllegalTransition as error:
                yield _flaw("illegal-transition", clip, f"turn {event.place}: {error}")
    if differing:
        yield _warning(
            "state-differs", clip, f"`dst_state` does not follow from the transitions at {_listed(differing)}"
        )


def _same(recorded: dict[str, str], state: State) -> bool:
    try:
        return state_of(state, recorded) == state
    except ValueError:  # names a step or a status that there is none of
        return False


def _listed(events: list[Event]) -> str:
    places = ", ".join(str(event.place) for event in events[:5])
    return f"{len(events)} turns ({places}{', …' if len(events) > 5 else ''})"


def _initial(clip: Clip) -> Iterator[Flaw]:
    """The state that the prompt tells against the times of the steps, where the file has those."""
    if clip.task is None or not clip.task.steps:
        return
    if clip.initial is None:
        if clip.start:
            message = "no initial_dst_state, though the clip begins at frame {}: read as not started"
            yield _warning("no-initial-state", clip, message.format(clip.start))
        return
    timed = [step for step in clip.steps if _timed(step)]
    past = {
        step["id"]: [frame_at(step[key], clip.fps) < clip.start for key in ("start_ts", "end_ts")] for step in timed
    }
    names = {(False, False): "not_started", (True, False): "in_progress", (True, True): "completed"}
    for step, (begun, ended) in past.items():
        expected, told = names.get((begun, ended)), clip.task.state.get(step)
        if expected and told != expected:
            yield _warning(
                "initial-state", clip, f"step {step} is {told} in initial_dst_state and {expected} by its times"
            )


def _timed(step: dict) -> bool:
    return all(isinstance(step.get(key), int | float) for key in ("start_ts", "end_ts"))


def _spans(clip: Clip) -> Iterator[Flaw]:
    """The turns' own frames, which nothing is read from, against those that follow from the times."""
    spans = [(event, clip.written[event.place]) for event in clip.events]
    told = [(event, turn["start_frame"], turn["end_frame"]) for event, turn in spans if _spanned(turn)]
    inclusive = [event for event, _, end in told if end == event.frame]
    off = [event for event, start, end in told if end != event.frame and not start <= event.frame < end]
    later = [(one, other) for one, other in pairwise(told) if other[0].frame > one[0].frame]
    overlapping = [other[0] for one, other in later if other[1] < one[2]]
    if inclusive:
        yield _warning("inclusive-spans", clip, f"end_frame is the event's own frame at {_listed(inclusive)}")
    if off:
        yield _warning("span-differs", clip, f"start_frame to end_frame is without the event at {_listed(off)}")
    if overlapping:
        yield _warning(
            "overlapping-spans", clip, f"start_frame lies before the end of the turn before at {_listed(overlapping)}"
        )
    yield from _tiles(clip)
    times = [turn["time"] for turn in clip.written if isinstance(turn.get("time"), int | float)]
    if times != sorted(times):
        yield _warning("unordered", clip, "turns are not in the order of their times: they are put into it")


def _spanned(turn: dict) -> bool:
    return all(isinstance(turn.get(key), int) for key in ("start_frame", "end_frame"))


def _tiles(clip: Clip) -> Iterator[Flaw]:
    """The explicit spans of the older form: they should tile the clip, and end where what follows them happens."""
    if not clip.spans:
        return
    seen, off = clip.start, []
    for place, turn in enumerate(clip.written):
        seen = turn["end"] if turn["role"] == "frames" else seen
        event = next((event for event in clip.events if event.place == place), None)
        if event and event.frame not in (seen - 1, seen):  # the last frame seen, or the one about to come
            off.append(event)
    if off:
        yield _warning(
            "span-differs", clip, f"turns `frames` end elsewhere than at the time of what follows at {_listed(off)}"
        )
    ends = [clip.start, *(end for _, end in clip.spans)]
    gaps = [(end, start) for end, (start, _) in zip(ends, clip.spans, strict=False) if start != end]
    if gaps or ends[-1] != clip.stop:
        end, start = gaps[0] if gaps else (ends[-1], clip.stop)
        count = len(gaps) + (ends[-1] != clip.stop)
        yield _warning(
            "untiled-frames", clip, f"turns `frames` do not tile the clip at {count} places: {end}, then {start}"
        )


def _long(clip: Clip, long_clip: int) -> Iterator[Flaw]:
    if clip.stop - clip.start > long_clip:
        yield _warning("long-clip", clip, f"{clip.stop - clip.start} frames; data.long_clip={long_clip}")


def _duplicates(clips: list[Clip]) -> Iterator[Flaw]:
    """An identity or an id that its split has already; the first one stays. Across splits the videos overlap."""
    first: dict[tuple[str, ...], Clip] = {}
    for clip in clips:
        for key in (("identity", clip.split, clip.identity), ("id", clip.split, clip.id)):
            other = first.setdefault(key, clip)
            if other is not clip:
                named = f"{key[0]} {key[-1]}"
                yield _flaw("duplicate", clip, f"the {named} is that of {other.where} too")
                break


def _overlaps(clips: list[Clip]) -> Iterator[Flaw]:
    """Videos in several splits. What is held out stays: the clips before it go. Warm-up is training."""
    places: dict[str, dict[str, list[Clip]]] = defaultdict(lambda: defaultdict(list))
    for clip in clips:
        places[clip.video][clip.split if clip.split in SPLITS else "train"].append(clip)
    for video, by_split in places.items():
        last = max(by_split, key=SPLITS.index)
        for split, mine in by_split.items():
            for clip in mine if split != last else []:
                other = by_split[last][0].where
                yield _flaw("overlap", clip, f"the video {video} of {clip.split} is also in {last}: {other}")


def _empty(clips: list[Clip]) -> Iterator[Finding]:
    for split in SPLITS:
        if not any(clip.split == split for clip in clips):
            yield Finding("empty-split", "warning", split, "", f"{split} has no clips")
