"""From entries to the whole comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from prospect.runs.compare import against, metrics
from prospect.runs.compare.comparison import Comparison, Entry, Group
from prospect.runs.compare.groups import counted, groups, summaries
from prospect.runs.compare.index import BROKEN
from prospect.runs.compare.settings import differing, resolved, telling


def compared(
    entries: Sequence[Entry],
    by: Sequence[str] = (),
    metric: Sequence[str] = (),
    baseline: str | None = None,
    pairs: str | None = None,
) -> Comparison:
    """Group by all settings that differ, or by those of `by`. Runs without a readable configuration are in no group."""
    known = [entry for entry in entries if entry.state != BROKEN and entry.config]
    everything = [dict(entry.config) for entry in known]
    configs = telling(everything)
    keys = differing(configs)
    if by:
        configs = everything  # also a seed, when it is asked for
        keys = [resolved(name, dict.fromkeys(key for config in configs for key in config), "by") for name in by]
    shown = metrics.chosen([entry for entry in known if entry.state == "DONE"], metric)
    found = groups(known, configs, keys)
    seeds = {group.name: counted(group) for group in found}
    by_seed = {name: there for name, (there, _) in seeds.items()}
    found = [replace(group, summaries=summaries(by_seed[group.name], shown)) for group in found]
    chosen = against.chosen(found, by_seed, baseline)
    return Comparison(
        entries=entries,
        keys=keys,
        groups=_ordered(found, shown),
        metrics=shown,
        baseline=chosen,
        tests=against.verdicts(found, by_seed, shown, chosen, pairs),
        best=metrics.best(known, shown[0] if shown else None),
        notes=[*_repeated({name: left_out for name, (_, left_out) in seeds.items()}), *_origins(known, found)],
    )


def _ordered(found: Sequence[Group], shown: Sequence[str]) -> list[Group]:
    """The best first, by the first metric; groups without it last."""
    if not shown:
        return list(found)
    sign = 1 if metrics.less_is_better(shown[0]) else -1

    def place(group: Group) -> float:
        mean = group.summaries[shown[0]].mean if shown[0] in group.summaries else math.nan
        return math.inf if math.isnan(mean) else sign * mean

    return sorted(found, key=place)


def _repeated(left_out: Mapping[str, int]) -> list[str]:
    return [
        f"{name}: {count} of its runs {'repeats' if count == 1 else 'repeat'} another's settings and seed; "
        "the newest of them counts"
        for name, count in left_out.items()
        if count
    ]


def _origins(entries: Sequence[Entry], found: Sequence[Group]) -> list[str]:
    """Differences that no setting shows."""
    notes = []
    commits = {entry.commit for entry in entries if entry.commit}
    if len(commits) > 1:
        notes.append(f"the runs come from {len(commits)} commits: {', '.join(sorted(c[:9] for c in commits))}")
    if dirty := [entry.name for entry in entries if entry.dirty]:
        which = ", ".join(dirty[:3]) + (f" and {len(dirty) - 3} more" if len(dirty) > 3 else "")
        notes.append(f"started from changed code, which their git.diff holds: {which}")
    for group in found:
        if len({entry.data for entry in group.entries if entry.data}) > 1:
            notes.append(f"{group.name}: its runs had different data under the same settings (data.sha256 of run.json)")
    return notes
