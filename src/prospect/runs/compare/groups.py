"""Runs that differ in their seed alone, together: what a group is called, and its metrics over the seeds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prospect.runs.compare import statistics
from prospect.runs.compare.comparison import Entry, Group, Summary
from prospect.runs.compare.settings import ABSENT, label, needed, partition, short_names


def groups(entries: Sequence[Entry], configs: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[Group]:
    """One for every combination of values of the keys, in the order of those values; without summaries yet."""
    short, shown = short_names(keys), needed(configs, keys)
    members: dict[tuple[str, ...], list[int]] = {}
    for place, values in enumerate(partition(configs, keys)):
        members.setdefault(values, []).append(place)
    found: list[Group] = []
    for places in members.values():
        first = configs[places[0]]
        settings = {key: first.get(key, ABSENT) for key in keys}
        name = _unused(label(settings, shown, short), [group.name for group in found])
        found.append(Group(name, settings, [entries[place] for place in places], {}))
    return sorted(found, key=lambda group: [_order(group.settings[key]) for key in shown])


def _unused(name: str, used: Sequence[str]) -> str:
    """1 and the text "1" look alike, and so do two functions of the same name."""
    return next(each for each in (name, *(f"{name} ({n})" for n in range(2, len(used) + 3))) if each not in used)


def counted(group: Group) -> tuple[Mapping[int, list[Entry]], int]:
    """The finished runs by seed. Of runs that are the same in everything the newest counts; how many do not."""
    newest: dict[tuple[Any, ...], Entry] = {}
    done = [entry for entry in group.entries if entry.state == "DONE" and entry.seed is not None]
    for entry in sorted(done, key=lambda entry: entry.started or ""):
        same = tuple(sorted((key, repr(value)) for key, value in entry.config.items() if key != "resume"))
        newest[same] = entry
    by_seed: dict[int, list[Entry]] = {}
    for entry in newest.values():
        if entry.seed is not None:
            by_seed.setdefault(entry.seed, []).append(entry)
    return dict(sorted(by_seed.items())), len(done) - len(newest)


def summary(by_seed: Mapping[int, Sequence[Entry]], metric: str) -> Summary | None:
    """Over seeds. Several runs of one seed (when `by=` leaves out what tells them apart) are one value, their mean."""
    values = {
        seed: statistics.mean([entry.metrics[metric] for entry in several if metric in entry.metrics])
        for seed, several in by_seed.items()
        if any(metric in entry.metrics for entry in several)
    }
    if not values:
        return None
    numbers = list(values.values())
    low, high = statistics.bootstrap(numbers) or (None, None)
    return Summary(statistics.mean(numbers), statistics.deviation(numbers), len(numbers), low, high, values)


def summaries(by_seed: Mapping[int, Sequence[Entry]], metrics: Sequence[str]) -> dict[str, Summary]:
    found = {metric: summary(by_seed, metric) for metric in metrics}
    return {metric: each for metric, each in found.items() if each is not None}


def in_order(values: Iterable[Any]) -> list[Any]:
    return sorted(values, key=_order)


def _order(value: Any) -> tuple[Any, ...]:
    """Numbers by size, then texts with their numbers by size, then what is absent or null."""
    if value is None or value == ABSENT:
        return (3, str(value))
    if isinstance(value, int | float):
        return (0, value)
    parts = re.split(r"(\d+)", str(value))
    return (1, [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts])
