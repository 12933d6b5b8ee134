"""Learning curves of groups: the mean over seeds at equal steps, and between which values the seeds lie."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prospect.runs import rows
from prospect.runs.compare.comparison import Comparison, Entry, Group
from prospect.runs.compare.tables import clipped
from prospect.runs.reports import curves
from prospect.runs.reports.curves import Axis, Chart, Line, Point
from prospect.runs.wording import number

DRAWN = 8  # groups: no more colours can be told apart
SEEDS = 32  # runs of a group that are read
BUCKETS = 60  # of six pixels each
FIRST, ALL = 4, 12  # charts in sight, one row of a page 1280 pixels wide, and at all
PLAIN = {"learning_rate", "grad_norm"}  # of the optimiser; the reports of the runs show them

Curve = Mapping[int, float]  # step → value
Spread = tuple[float, float, float]  # mean, lowest, highest


@dataclass(frozen=True)
class Member:
    """A group that is drawn. `place` is its place among all groups; `told` says which runs its curves are of."""

    place: int
    name: str
    told: str
    curves: Mapping[str, Sequence[Curve]]  # by key, such as val/loss: one of each run that logged it


@dataclass(frozen=True)
class Curves:
    """What is drawn, and in words what is not. The lines of group i of `members` are named g<i>."""

    members: Sequence[Member]
    first: Sequence[Chart]
    more: Sequence[Chart]
    notes: Sequence[str]


def curves_of(comparison: Comparison) -> Curves:
    notes: list[str] = []
    members = [member for place in _drawn(comparison) if (member := _member(comparison, place, notes)).curves]
    left = len(comparison.groups) - len(members)
    if members and left:
        notes.append(f"{len(members)} of {len(comparison.groups)} groups are drawn: the baseline and the first ones.")
    keys = _keys(members, comparison.metrics)
    notes += _broken(members, keys[:ALL]) + _apart(members, keys[:ALL])
    if len(keys) > ALL:
        notes.append(f"Not drawn: {', '.join(keys[ALL : ALL + 20])}{' …' if len(keys) > ALL + 20 else ''}.")
    drawn = _charts(members, keys[:ALL])
    return Curves(members, drawn[:FIRST], drawn[FIRST:], notes)


def _drawn(comparison: Comparison) -> list[int]:
    """The baseline's colour is the first one in every comparison."""
    order = sorted(range(len(comparison.groups)), key=lambda i: comparison.groups[i].name != comparison.baseline)
    return order[:DRAWN]


def _member(comparison: Comparison, place: int, notes: list[str]) -> Member:
    """Runs that are done; where none is, all that can be read: a mean over some that stopped jumps where they do."""
    group = comparison.groups[place]
    done = [entry for entry in group.entries if entry.state == "DONE"]
    chosen = (done or [entry for entry in group.entries if entry.state != "BROKEN"])[:SEEDS]
    found: dict[str, list[Curve]] = {}
    for entry in chosen:
        for key, curve in _read(entry, notes).items():
            found.setdefault(key, []).append(curve)
    return Member(place, clipped(group.name), _told(group, len(chosen), bool(done)), found)


def _told(group: Group, count: int, done: bool) -> str:
    word = "run" if len(group.entries) == 1 else "runs"
    said = f"{count} {word}" if count == len(group.entries) else f"{count} of {len(group.entries)} {word}"
    return said if done else f"{said}, not done"


def _read(entry: Entry, notes: list[str]) -> dict[str, Curve]:
    found, bad = rows.read(entry.folder / "metrics.jsonl")
    if bad:
        notes.append(f"{clipped(entry.name)}: {len(bad)} of its metrics.jsonl's lines cannot be read.")
    return {
        f"{split}/{name}" if split else name: curve
        for name, splits in curves.series(found).items()
        if name not in PLAIN
        for split, curve in splits.items()
    }


def _keys(members: Sequence[Member], metrics: Sequence[str]) -> list[str]:
    """Quantities that move: the deciding metric, losses, the other metrics, the rest. One value is no curve."""
    found = {key for member in members for key, several in member.curves.items() if max(map(len, several)) > 1}
    names = [curves.split_of(metric)[1] for metric in metrics]

    def rank(key: str) -> tuple[int, int, tuple[int, str], int]:
        split, name = curves.split_of(key)
        kind = 0 if name in names[:1] else 1 if name == "loss" else 2 if name in names else 3
        place = names.index(name) if kind == 2 else 0
        return kind, place, curves.rank(name), ("test", "val", "train", "").index(split)

    return sorted(found, key=rank)


# --- numbers ----------------------------------------------------------------------------------------------------------


def band(several: Sequence[Curve]) -> dict[int, Spread]:
    """At the steps that all of them have; NaN where one of them is NaN or infinite, since their mean is."""
    shared = set.intersection(*(set(curve) for curve in several))
    return {step: _spread([curve[step] for curve in several]) for step in sorted(shared)}


def _spread(values: Sequence[float]) -> Spread:
    if not all(map(math.isfinite, values)):
        return math.nan, math.nan, math.nan
    low, high = min(values), max(values)
    mean = sum(value / len(values) for value in values)  # divided first: the sum of what is near the largest float
    return min(max(mean, low), high), low, high  # and rounded, so it could lie outside


def calm(curve: Curve) -> Curve:
    """A noisy curve is its moving mean, as in the report of a run; what is not finite stays a gap."""
    if len(curve) <= curves.CALM:
        return curve
    whole = dict(sorted(curve.items()))
    for run in curves.unbroken(whole.items()):
        whole |= {int(step): value for step, value in curves.moving_mean(run, len(curve) // 30)}
    return whole


# --- geometry ---------------------------------------------------------------------------------------------------------


def _charts(members: Sequence[Member], keys: Sequence[str]) -> list[Chart]:
    bands = {
        key: {
            f"g{index}": band([calm(curve) for curve in member.curves[key]])
            for index, member in enumerate(members)
            if key in member.curves
        }
        for key in keys
    }
    x = curves.step_axis({step for lines in bands.values() for points in lines.values() for step in points})
    drawn = [_chart(key, lines, x) for key, lines in bands.items()]
    return [chart for chart in drawn if chart is not None]


def _chart(key: str, lines: Mapping[str, Mapping[int, Spread]], x: Axis) -> Chart | None:
    finite = [value for points in lines.values() for spread in points.values() for value in spread[1:]]
    finite = [value for value in finite if math.isfinite(value)]
    if not finite:
        return None  # said in words
    name = curves.split_of(key)[1]
    y = curves.value_axis(name if name.startswith("loss") else "", finite)  # close up: groups differ by little
    return Chart(key, [_line(name, points, x, y) for name, points in lines.items()], x, y)


def _line(name: str, points: Mapping[int, Spread], x: Axis, y: Axis) -> Line:
    mean, low, high = (
        [curves.thinned(run, BUCKETS) for run in curves.unbroken((s, spread[i]) for s, spread in points.items())]
        for i in range(3)
    )
    shown = [point for run in mean for point in run]
    return Line(
        name,
        shown,
        [step for step, spread in points.items() if not math.isfinite(spread[0])],
        curves.path_of(mean, x, y),
        None,
        [(x(step), y(value)) for step, value in (shown if len(points) <= 25 else _alone(mean))],
        band=_area(low, high, x, y) if low != high else None,
    )


def _alone(runs: Sequence[Sequence[Point]]) -> list[Point]:
    return [run[0] for run in runs if len(run) == 1]


def _area(low: Sequence[list[Point]], high: Sequence[list[Point]], x: Axis, y: Axis) -> str:
    """Along the highest values and back along the lowest."""
    closed = [[*above, *reversed(below)] for below, above in zip(low, high, strict=True)]
    return " ".join(f"{curves.path_of([corners], x, y)} Z" for corners in closed)


def _broken(members: Sequence[Member], keys: Sequence[str]) -> list[str]:
    found = []
    for key in keys:
        for member in members:
            firsts = [
                (step, value)
                for curve in member.curves.get(key, ())
                for step, value in sorted(curve.items())
                if not math.isfinite(value)
            ]
            if firsts:
                step, value = min(firsts, key=lambda each: each[0])
                found.append(f"{key} of {member.name} is {number(value)} at step {step}.")
    return found


def _apart(members: Sequence[Member], keys: Sequence[str]) -> list[str]:
    return [
        f"{key} of {member.name}: its runs have no step in common."
        for key in keys
        for member in members
        if key in member.curves and not set.intersection(*map(set, member.curves[key]))
    ]
