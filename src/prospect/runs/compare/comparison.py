"""What a comparison of run folders says, before it is shown on a terminal, a page, or in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One folder that holds, or should hold, a run.

    `state` is that of the run (RUNNING, DONE, FAILED, INTERRUPTED, KILLED), or BROKEN where it cannot be read;
    `problem` says why it is broken, or what the run's last error was. `command` is the one that does this very run
    again, in a new folder. `config` has dotted keys.
    """

    folder: Path
    name: str  # the shortest path that tells it from the others
    state: str
    problem: str | None = None
    log: Path | None = None
    command: str | None = None
    seed: int | None = None
    commit: str | None = None
    dirty: bool | None = None
    started: str | None = None
    seconds: float | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    data: str | None = None  # sha256 of what it was trained and tested on


@dataclass(frozen=True)
class Summary:
    """One metric over the seeds of a group. `low` and `high` enclose 95 % of bootstrapped means; `std` needs two."""

    mean: float
    std: float | None
    count: int
    low: float | None
    high: float | None
    by_seed: Mapping[int, float]


@dataclass(frozen=True)
class Group:
    """Runs whose configurations differ in their seed alone; `settings` are the keys that tell groups apart, with the
    text "(absent)" where the runs have no such key."""

    name: str
    settings: Mapping[str, Any]
    entries: Sequence[Entry]
    summaries: Mapping[str, Summary]  # by metric; of the runs that are DONE


@dataclass(frozen=True)
class Test:
    """A group against the baseline in one metric, paired over `pairs` (seeds, videos, users, samples): the mean
    difference, its interval, and Holm's p over all tests of the metric; None where there are too few pairs to say."""

    metric: str
    group: str
    baseline: str
    pairs: str
    count: int
    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None


@dataclass(frozen=True)
class Comparison:
    """`keys` are the settings that differ, `metrics` those shown, the first being the one that orders and decides."""

    entries: Sequence[Entry]
    keys: Sequence[str]
    groups: Sequence[Group]
    metrics: Sequence[str]
    baseline: str | None
    tests: Sequence[Test]
    best: Entry | None
    notes: Sequence[str] = ()  # what a reader has to know: runs that do not count, settings that were left out
