"""What a data room hands over: samples by split, what the audit saw, and a fingerprint of all of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from prospect.conversation.sample import Frames, Sample
from prospect.conversation.stream import decided
from prospect.data.findings import Finding, by_kind

OVERLAP = 10.0  # seconds of context before what is learnt, where a stream is split


@dataclass(frozen=True)
class Phase:
    """Other samples to learn from first: `share` of a run's steps, before those of the train split."""

    name: str
    share: float
    samples: list[Sample]


@dataclass(frozen=True)
class Dataset:
    """`splits` always has train, val and test; any of them may be empty. Only classifications have labels.

    `answers`: what users ask and get is free text. With `by_user` every answer is scored, and `Sample.meta["user"]`
    says whose it is; without, the last answer of each conversation.

    `questions`: each has short answers of its own. `prompts`: what is asked, without an answer. `preferences`: pairs of
    answers to the same, see conversation/preference.py. `Sample.meta["columns"]` is what a reward may see of a sample,
    of questions always `question`, `answer` and `answers`: all that are right.
    """

    name: str
    task: Literal["classification", "stream", "answers", "questions", "prompts", "preferences"]
    splits: dict[str, list[Sample]]
    labels: tuple[str, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    fingerprint: str = ""
    balanced: bool = False
    warmup: tuple[Phase, ...] = ()  # in this order
    neg_frame_sampling_rate: float = 1.0  # share of silent frames whose silence is learnt, drawn anew every epoch
    overlap: float = OVERLAP
    frame_root: Path | None = None  # of streams: the folder that the names of frame stores start from
    radius: float = math.inf  # of answers: how far from the true point a click still counts, in the points' own unit
    by_user: bool = True
    answer_format: Literal["plain", "think"] = "plain"  # of questions; think: <think>…</think><answer>…</answer>
    answer_tokens: int | None = None  # of questions: the longest answer in evaluation; None goes by the true ones
    notes: dict[str, Any] = field(default_factory=dict)  # what a data room has to tell beside the rest of its facts

    @property
    def streams(self) -> Iterator[Frames]:
        """Every span of frames, of all splits and phases."""
        samples = chain(*self.splits.values(), *(phase.samples for phase in self.warmup))
        return (span for sample in samples for span in sample.frames)

    @property
    def groups(self) -> dict[str, list[Sample]]:
        """Splits and warm-up phases by name."""
        return {**self.splits, **{phase.name: phase.samples for phase in self.warmup}}

    def counts(self, split: str) -> dict[str, int]:
        """Samples of each class, absent classes included."""
        seen = Counter(sample.meta.get("label") for sample in self.splits[split])
        return {label: seen[label] for label in self.labels}

    def facts(self) -> dict[str, Any]:
        """For the run's manifest: what was learnt from, so that two runs can be told to have seen the same."""
        if self.task == "stream":
            told: dict[str, Any] = {"streams": {split: footage(clips) for split, clips in self.splits.items()}}
        elif self.task == "answers":
            told = {"users": {split: owners(samples) for split, samples in self.splits.items()}} if self.by_user else {}
        elif self.task == "classification":
            told = {"classes": {split: self.counts(split) for split in self.splits}}
        else:
            told = {}  # what there is to count stands in `notes`
        if self.warmup:
            told["warmup"] = {phase.name: {"share": phase.share, **footage(phase.samples)} for phase in self.warmup}
        return {
            "name": self.name,
            "sha256": self.fingerprint,
            "samples": {split: len(samples) for split, samples in self.splits.items()},
            **told,
            **self.notes,
            "findings": {kind: len(group) for (_, kind), group in by_kind(self.findings).items()},
        }


def owners(samples: Iterable[Sample]) -> dict[str, int]:
    """Samples of each user."""
    counts = Counter(sample.meta["user"] for sample in samples)
    return {str(user): counts[user] for user in sorted(counts)}


def footage(samples: Iterable[Sample]) -> dict[str, Any]:
    """How much there is of streams: clips, frames, the types of users, and events by kind."""
    clips = list(samples)
    users = Counter(sample.meta.get("user_type", "") for sample in clips)
    events = Counter(kind for sample in clips for kind in _kinds(sample))
    return {
        "clips": len(clips),
        "frames": sum(len(frames) for sample in clips for frames in sample.frames),
        "users": dict(sorted(users.items())),
        "events": dict(sorted(events.items())),
    }


def _kinds(sample: Sample) -> Iterator[str]:
    for turn, decisions in decided(sample):
        yield from (kind for decision in decisions if decision for kind in decision.kinds)
        if turn.role == "user":
            yield "user"
