"""Dialogue states over time against the true ones: transitions, whole states, timing, and what cannot be applied."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from scipy.optimize import linear_sum_assignment

from prospect.conversation.dst import Action, State, Transition, applied
from prospect.evaluation.pooling import Counts, share

Change = tuple[int, str, str]  # frame, step, action


@dataclass(frozen=True)
class Track:
    """One video: the states behind each frame, and the changes that led to them.

    `said` has every transition that could be read, also one that was refused as illegal: each counts as a prediction.
    """

    start: State  # as the model was told, before the first frame
    reference: Sequence[State]
    predicted: Sequence[State]
    happened: Sequence[Change]
    said: Sequence[Change]
    illegal: int = 0  # of `said`
    updates: int = 0  # DST turns generated
    unparsable: int = 0  # of `updates`


def unrolled(start: State, changes: Iterable[Change], frames: range) -> list[State]:
    """The state behind each frame. Changes at one frame happen in the order given; an illegal one raises."""
    at: dict[int, list[Transition]] = defaultdict(list)
    for frame, step, action in changes:
        assert frame in frames, f"a change at frame {frame}, outside {frames}"
        at[frame].append(Transition(step, cast(Action, action)))  # Transition checks it
    states, now = [], start
    for frame in frames:
        now = applied(now, at[frame])
        states.append(now)
    return states


def silenced(track: Track) -> Track:
    """What a model gets that never says anything: the state stays as at the start."""
    silent = [track.start] * len(track.reference)
    return replace(track, predicted=silent, said=(), illegal=0, updates=0, unparsable=0)


def counts(track: Track, window: tuple[int, int]) -> dict[str, float]:
    """What a video adds to the split. `window` is in frames, reference minus prediction, as for utterances."""
    wrong = [
        sum(seen.get(step) != status for step, status in true.items())
        for true, seen in zip(track.reference, track.predicted, strict=True)
    ]
    return {
        "happened": len(track.happened),
        "said": len(track.said),
        "exact": (Counter(track.happened) & Counter(track.said)).total(),
        "near": len(aligned(track.said, track.happened, window)),
        "frames": len(wrong),
        "right_frames": wrong.count(0),
        "steps": sum(map(len, track.reference)),
        "wrong_steps": sum(wrong),
        "illegal": track.illegal,
        "updates": track.updates,
        "unparsable": track.unparsable,
    }


def rates(of: Counts) -> dict[str, np.ndarray]:
    """Of counts summed over videos; elementwise where they are arrays. NaN where there was nothing to measure."""
    said, happened = np.asarray(of["said"], float), np.asarray(of["happened"], float)
    found = {
        "joint_goal_accuracy": share(of["right_frames"], of["frames"]),
        "step_accuracy": share(np.asarray(of["steps"]) - of["wrong_steps"], of["steps"]),
        "illegal": share(of["illegal"], said),
        "unparsable": share(of["unparsable"], of["updates"]),
    }
    for name in ("exact", "near"):
        found |= {
            f"transition_{name}/precision": share(of[name], said, said + happened),
            f"transition_{name}/recall": share(of[name], happened, said + happened),
            f"transition_{name}/f1": share(2 * np.asarray(of[name]), said + happened),
        }
    return found


def aligned(
    said: Sequence[Change], happened: Sequence[Change], window: tuple[int, int] | None = None
) -> list[tuple[int, int]]:
    """(frame said, frame happened) of changes of the same step and action, one to one.

    As many pairs as the window allows, and of those the nearest in time. Without a window all are allowed.
    """
    ours, theirs = _by_change(said), _by_change(happened)
    return [pair for change in ours for pair in _paired(ours[change], theirs.get(change, []), window)]


def lateness(tracks: Iterable[Track], fps: float) -> np.ndarray:
    """Seconds from each true transition to its prediction, however far: negative is early. Unpredicted ones have none.

    No window here, which would hide the largest errors.
    """
    pairs = [pair for track in tracks for pair in aligned(track.said, track.happened)]
    return np.array([(said - happened) / fps for said, happened in pairs], float)


def timing(tracks: Iterable[Track], fps: float) -> dict[str, float]:
    """Median and 90th percentile of |seconds| and how many transitions they are of. 0 of 0 is no praise."""
    late = np.abs(lateness(tracks, fps))
    median, high = np.quantile(late, [0.5, 0.9]) if len(late) else (0.0, 0.0)
    return {"timing/median": float(median), "timing/p90": float(high), "timing/transitions": float(len(late))}


def _by_change(changes: Iterable[Change]) -> dict[tuple[str, str], list[int]]:
    frames: dict[tuple[str, str], list[int]] = defaultdict(list)
    for frame, step, action in changes:
        frames[step, action].append(frame)
    return frames


def _paired(said: Sequence[int], happened: Sequence[int], window: tuple[int, int] | None) -> list[tuple[int, int]]:
    ahead = np.subtract.outer(happened, said).T.astype(float)  # (said, happened): frames to wait for the true one
    allowed = np.ones(ahead.shape, bool) if window is None else (ahead >= window[0]) & (ahead <= window[1])
    far = (np.abs(ahead).max(initial=0) + 1) * (min(ahead.shape) + 1)  # dearer than all allowed pairs together
    rows, columns = linear_sum_assignment(np.where(allowed, np.abs(ahead), far))
    return [(said[i], happened[j]) for i, j in zip(rows, columns, strict=True) if allowed[i, j]]
