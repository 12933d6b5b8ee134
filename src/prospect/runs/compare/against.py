"""Groups against a baseline: over the same seeds where there are enough of them, else over the same samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from prospect.errors import UserError
from prospect.runs.compare import samples, statistics
from prospect.runs.compare.comparison import Entry, Group, Test
from prospect.runs.compare.reading import yaml_value
from prospect.runs.compare.settings import identity, resolved, spelt
from prospect.runs.nearest import nearest

SEEDS, SAMPLES = "seeds", "samples"
BySeed = Mapping[str, Mapping[int, Sequence[Entry]]]  # of each group by its name, the finished runs


def chosen(groups: Sequence[Group], by_seed: BySeed, asked: str | None = None) -> str | None:
    """The name of the group asked for, by its name or by settings that it alone has; else the group of the most seeds,
    and of equals the first: it must not depend on who won."""
    finished = [group for group in groups if by_seed[group.name]]
    if asked is None:
        return max(finished, key=lambda group: len(by_seed[group.name])).name if len(finished) > 1 else None
    if asked in {group.name for group in groups}:
        return asked
    found = _with_settings(groups, asked) if "=" in asked else []
    if len(found) == 1:
        return found[0].name
    if found:
        raise UserError(f"baseline={asked}: {len(found)} groups have this: {'; '.join(group.name for group in found)}")
    guess = nearest(asked, [group.name for group in groups])
    there = f"did you mean {guess}?" if guess else f"there are {'; '.join(group.name for group in groups)}"
    raise UserError(f"baseline={asked}: no group is called so or has this setting; {there}")


def _with_settings(groups: Sequence[Group], asked: str) -> list[Group]:
    found = list(groups)
    for part in asked.split(","):
        name, _, text = part.partition("=")
        key = resolved(name.strip(), groups[0].settings if groups else (), "baseline")
        found = [group for group in found if _says(group, key, text.strip())]
    return found


def _says(group: Group, key: str, text: str) -> bool:
    value = group.settings[key]
    same = identity({key: value}, key) == identity({key: yaml_value(text)}, key)
    return same or spelt(value) == text or spelt(value).rpartition(".")[2] == text


def verdicts(
    groups: Sequence[Group], by_seed: BySeed, metrics: Sequence[str], baseline: str | None, pairs: str | None = None
) -> list[Test]:
    """Of each metric in each group but the baseline. Holm's p is over the groups: one family for each metric."""
    found: list[Test] = []
    if baseline is None:
        return found
    for metric in metrics:
        others = [group.name for group in groups if group.name != baseline]
        family = [verdict(name, baseline, by_seed, metric, pairs) for name in others]
        there = [each for each in family if each is not None]
        adjusted = statistics.holm([each.p for each in there])
        found += [replace(each, p_holm=p) for each, p in zip(there, adjusted, strict=True)]
    return found


def verdict(group: str, baseline: str, by_seed: BySeed, metric: str, pairs: str | None = None) -> Test | None:
    """`pairs` forces seeds or samples. Over seeds a difference is that of the method, over samples that of these very
    models, so that seeds go first. None where both sides have nothing in common."""
    ours, theirs = ({s: _with(metric, runs) for s, runs in by_seed[name].items()} for name in (group, baseline))
    common = [seed for seed in ours if ours[seed] and theirs.get(seed)]
    if pairs != SEEDS and (pairs == SAMPLES or len(common) < statistics.LEAST):
        mine, others = ([entry for seed in common for entry in side[seed]] for side in (ours, theirs))
        found = samples.paired(mine, others, metric)
        if len(found.first) >= statistics.LEAST:
            verdict = statistics.exchanged(found.first, found.second)
            return _test(metric, group, baseline, found.kind, len(found.first), verdict)
    if pairs == SAMPLES or not common:
        return None
    values, baselines = ([_mean(side[seed], metric) for seed in common] for side in (ours, theirs))
    return _test(metric, group, baseline, SEEDS, len(common), statistics.paired_t(values, baselines))


def _mean(runs: Sequence[Entry], metric: str) -> float:
    return statistics.mean([entry.metrics[metric] for entry in runs])


def _with(metric: str, runs: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in runs if metric in entry.metrics]


def _test(metric: str, group: str, baseline: str, pairs: str, count: int, of: statistics.Paired) -> Test:
    return Test(metric, group, baseline, pairs, count, of.difference, of.low, of.high, of.p, None)
