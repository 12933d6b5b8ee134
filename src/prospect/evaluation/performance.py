"""Numbers of a split that was watched freely: decisions, dialogue, states, names; and what silence would get."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prospect.conversation.dst import read
from prospect.conversation.sample import Sample
from prospect.evaluation import calls, dialogue, names, states
from prospect.evaluation.names import Names
from prospect.evaluation.pooling import Counts, Pooled, Rates, pooled
from prospect.evaluation.similarity import Encoder, encoder
from prospect.evaluation.states import Track, silenced
from prospect.evaluation.streamed import Watching
from prospect.streaming.recorded import asked, happened

TOLERANCE = 2  # frames: a second, at two a second
# What every family of metrics is called in flat names.
FAMILIES: dict[str, tuple[str, Rates]] = {
    "speak": ("stream/speak", calls.rates),
    "dst": ("stream/dst", calls.rates),
    "dialogue": ("dialogue", dialogue.rates),
    "states": ("dst", states.rates),
    "silence": ("silent/dst", states.rates),
    "names": ("dialogue", names.rates),
}
# Headlines, all of them ratios of sums over videos: what a video adds to the upper and to the lower sum.
SHARES: dict[str, tuple[str, Callable[[Counts], tuple[float, float]]]] = {
    "dst/joint_goal_accuracy": ("states", lambda of: (of["right_frames"], of["frames"])),
    "dst/transition_f1": ("states", lambda of: (2 * of["exact"], of["said"] + of["happened"])),
    "dialogue/f1": ("dialogue", lambda of: (2 * of["correct"], 2 * of["matched"] + of["redundant"] + of["missed"])),
    "stream/speak/f1": ("speak", lambda of: (2 * of["hits"], of["events"] + of["calls"])),
    "stream/dst/f1": ("dst", lambda of: (2 * of["hits"], of["events"] + of["calls"])),
}
INTERVALS = tuple(SHARES)


@dataclass(frozen=True)
class Performance:
    """Flat metrics, and for each clip what is drawn of it (utterances matched, missed and redundant, true changes, how
    much went wrong) and what it adds to the headlines, by which runs are compared over the same clips."""

    metrics: dict[str, float]
    clips: list[dict[str, Any]]


def performance(
    samples: Sequence[Sample], rows: Sequence[dict[str, Any]], watching: Watching, dataset: str
) -> Performance:
    references = [_references(sample) for sample in samples]
    how = encoder(watching.similarity, [text for texts in references for _, text in texts])
    things = Names(step.name for sample in samples if sample.task for step in sample.task.steps)
    videos = [
        _video(sample, row, texts, how, things, watching, dataset)
        for sample, row, texts in zip(samples, rows, references, strict=True)
    ]
    metrics: dict[str, float] = {}
    for family, (prefix, rates) in FAMILIES.items():
        metrics |= _flat(prefix, pooled([video.counts[family] for video in videos], rates))
    fps = rows[0]["fps"] if rows else 1.0
    metrics |= {f"dst/{name}": value for name, value in states.timing([v.track for v in videos], fps).items()}
    metrics["watched/clips"] = len(rows)
    metrics["watched/frames"] = sum(len(row["p_speak"]) for row in rows)
    return Performance(metrics, [video.drawn for video in videos])


@dataclass(frozen=True)
class _Video:
    counts: dict[str, Counts]
    track: Track
    drawn: dict[str, Any]


def _video(
    sample: Sample,
    row: dict[str, Any],
    references: list[tuple[int, str]],
    how: Encoder,
    things: Names,
    watching: Watching,
    dataset: str,
) -> _Video:
    frames = range(row["first"], row["first"] + len(row["p_speak"]))
    window = watching.frames_of(dataset, row["fps"])
    said = [(frame, text) for frame, text in row["said"]]
    found = dialogue.matching(said, references, window, how, frames, watching.strict_proassist)
    track = track_of(sample, row, frames)
    speak = _marks(frames, [frame for frame, _ in references]), _marks(frames, [frame for frame, _ in said])
    dst = _marks(frames, [c[0] for c in track.happened]), _marks(frames, [update[0] for update in row["updates"]])
    pairs = [(pair.predicted[1], pair.reference[1]) for pair in found.pairs]
    counts: dict[str, Counts] = {
        "speak": calls.counts(*speak, TOLERANCE),
        "dst": calls.counts(*dst, TOLERANCE),
        "dialogue": dialogue.counts(found, row["fps"]),
        "states": states.counts(track, window),
        "silence": states.counts(silenced(track), window),
        "names": names.counts(pairs, things),
    }
    return _Video(
        counts,
        track,
        {
            "pairs": [[*p.predicted, *p.reference, round(p.score, 3), p.correct] for p in found.pairs],
            "missed": [list(each) for each in found.missed],
            "redundant": [list(each) for each in found.redundant],
            "asked": [list(question) for question in asked(sample)],
            "happened": [list(change) for change in track.happened],
            "start": track.start,
            "steps": [[step.id, step.name] for step in (sample.task.steps if sample.task else ())],
            "wrong": mistakes(found, track),
            "shares": {name: list(of(counts[family])) for name, (family, of) in SHARES.items()},
        },
    )


def mistakes(found: dialogue.Matching, track: Track) -> int:
    """Utterances missed, needless or with wrong words, and changes missed or made at a wrong frame."""
    happened, said = Counter(track.happened), Counter(track.said)
    words = sum(not pair.correct for pair in found.pairs)
    return len(found.missed) + len(found.redundant) + words + (happened - said).total() + (said - happened).total()


def track_of(sample: Sample, row: dict[str, Any], frames: range) -> Track:
    """The states of a clip, the true ones replayed and the predicted ones from the changes that took effect."""
    start = dict(sample.task.state) if sample.task else {}
    true = [(frame, t.step, t.action) for frame, event in happened(sample).items() for t in event.transitions]
    effective = [(frame, step, action) for frame, _, changes in row["updates"] for step, action in changes]
    said, unparsable = [], 0
    for frame, written, _ in row["updates"]:
        try:
            said += [(frame, t.step, t.action) for t in read(written)]
        except ValueError:
            unparsable += 1
    return Track(
        start=start,
        reference=states.unrolled(start, true, frames),
        predicted=states.unrolled(start, effective, frames),
        happened=true,
        said=said,
        illegal=row["counts"].get("illegal", 0),
        updates=len(row["updates"]),
        unparsable=unparsable,
    )


def _references(sample: Sample) -> list[tuple[int, str]]:
    return [(frame, event.text) for frame, event in happened(sample).items() if event.text is not None]


def _marks(frames: range, at: Sequence[int]) -> np.ndarray:
    marks = np.zeros(len(frames), bool)
    marks[[frame - frames.start for frame in at]] = True
    return marks


def _flat(prefix: str, found: dict[str, Pooled]) -> dict[str, float]:
    """Pooled counts under the plain name; macro and interval of the few that headlines are made of."""
    flat: dict[str, float] = {}
    for name, value in found.items():
        key = f"{prefix}/{'transition_f1' if name == 'transition_exact/f1' else name}"
        flat[key] = value.micro
        if key in INTERVALS:
            flat |= {f"{key}_macro": value.macro, f"{key}_low": value.low, f"{key}_high": value.high}
    return flat
