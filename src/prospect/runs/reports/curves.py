"""Learning curves as plain geometry: numbers in, the coordinates of an inline SVG out."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from prospect.runs.strict_json import as_number

Point = tuple[float, float]  # (step, value)

WIDTH, HEIGHT = 360, 172
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 8, 22  # room for the ticks
BUCKETS = 180  # about two pixels each
CALM = 60  # with more points than these a noisy curve is drawn faint, under its moving mean
SHARES = ("accuracy", "f1", "precision", "recall", "ap", "exact")  # between 0 and 1, and shown so
LEAST = 1e-250  # so far from what a float can hold that no axis around it can vanish
NOT_CURVES = {"step", "epoch", "time", "seconds"}
SPLITS = ("test", "val", "train")


@dataclass(frozen=True)
class Axis:
    """A linear or logarithmic scale from values to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    ticks: list[float] = field(default_factory=list)

    def __call__(self, value: float) -> float:
        low, high, value = (
            (math.log10(x) for x in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        )
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 1)


@dataclass(frozen=True)
class Line:
    """One split's curve. `broken` are the steps at which it is NaN or infinite: there it has a gap.

    `said` is the number beside its name, the last one where there is none; `band` an area around the curve.
    """

    split: str
    points: list[Point]
    broken: list[int]
    path: str
    mean: str | None
    dots: list[Point]
    said: float | None = None
    band: str | None = None

    @property
    def value(self) -> float:
        return self.points[-1][1] if self.said is None else self.said

    @property
    def is_flat(self) -> bool:
        """There is nothing to see: many values, all the same."""
        return len(self.points) > 2 and len({value for _, value in self.points}) == 1


@dataclass(frozen=True)
class Chart:
    """`marks` are upright dashed lines, each a split and where."""

    name: str
    lines: list[Line]
    x: Axis
    y: Axis
    over: str = "steps"
    marks: list[tuple[str, float]] = field(default_factory=list)


def charts(rows: Sequence[dict[str, Any]]) -> list[Chart]:
    """A chart for every quantity, its splits together; the ones that are looked at first come first."""
    found = series(rows)
    x = step_axis([step for splits in found.values() for points in splits.values() for step in points])
    drawn = [_chart(name, found[name], x) for name in sorted(found, key=rank)]
    return [chart for chart in drawn if chart is not None]


def series(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, dict[int, float]]]:
    """Values by name, split and step; of what was done again after a resume the later ones."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for row in rows:
        step = row.get("step")
        if not isinstance(step, int) or math.isinf(float(as_number(step) or 0)):
            continue
        for key, value in row.items():
            number = None if key in NOT_CURVES else as_number(value)
            if number is None or (parts := split_of(key))[1].startswith("class/"):
                continue
            split, name = parts
            _add(found.setdefault(name, {}).setdefault(split, {}), int(step), number)
    return found


def step_axis(steps: Collection[int]) -> Axis:
    """One for all charts, so that what lies above one another happened at the same time."""
    first, last = min(steps, default=0), max(steps, default=0)
    low = 0 if first < 0.2 * last else first
    high = max(last, low + 1)
    ticks = [tick for tick in nice(low, high, 5) if low <= tick <= high and tick == int(tick)]
    return Axis(low, high, LEFT, WIDTH - RIGHT, ticks=ticks)


@lru_cache(maxsize=1024)
def split_of(key: str) -> tuple[str, str]:
    """test/speak/f1 → (test, speak/f1); a key without a split has the empty one."""
    split, _, name = key.partition("/")
    return (split, name) if split in SPLITS else ("", key)


def _add(points: dict[int, float], step: int, value: float) -> None:
    """A step that lies before the last one: the run was resumed there, and what came after it was done again."""
    if points and step < next(reversed(points)):
        for later in [known for known in points if known >= step]:
            del points[later]
    points[step] = value


def rank(name: str) -> tuple[int, str]:
    """What is looked at first; of a policy, how it answers before how it was clipped."""
    second = ("kl", "format", "completions/mean_length", "groups_without_spread")
    first = ("loss", "accuracy", "reward", "speak/f1", "dst/f1", "speak/exact", "dst/exact", "macro_f1")
    if name in first:
        return first.index(name), name
    if name in second:
        return 20 + second.index(name), name
    return (10 if name.startswith("loss") else 30 if name == "learning_rate" else 40), name


def _chart(name: str, series: dict[str, dict[int, float]], x: Axis) -> Chart | None:
    finite = [value for points in series.values() for value in points.values() if math.isfinite(value)]
    if not finite:
        return None  # the report says so in words
    y = value_axis(name, finite)
    order = sorted(series, key=lambda split: ("train", "", "test", "val").index(split))  # few points over many
    return Chart(name, [_line(name, split, series[split], x, y) for split in order], x, y)


def value_axis(name: str, values: list[float]) -> Axis:
    low, high = min(values), max(values)
    is_loss = name.startswith("loss")
    if re.split("[/_]", name)[-1] in SHARES and low >= 0 and high <= 1:
        return Axis(0, 1, HEIGHT - BOTTOM, TOP, ticks=[0, 0.5, 1])
    if is_loss and low > LEAST and high / low > 100:
        return _decades(low, high)
    if low >= 0 and (is_loss or name == "learning_rate" or low < high / 3):
        low = 0.0
    if high - low < 1e-12 * max(1.0, abs(high)):
        half = abs(high) / 2 if abs(high) > LEAST else 0.5
        low, high = low - half, high + half
    ticks = nice(low, high, 4)
    return Axis(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP, ticks=ticks)


def _decades(low: float, high: float) -> Axis:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    stride = max(1, math.ceil((last - first) / 4))
    ticks = [10.0**power for power in range(first, last + 1, stride)]
    return Axis(10.0**first, 10.0**last, HEIGHT - BOTTOM, TOP, log=True, ticks=ticks)


def nice(low: float, high: float, count: int) -> list[float]:
    """Ticks at 1, 2 or 5 times a power of ten that enclose [low, high]."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{index * step:.10g}") for index in range(first, last + 1)]


def _line(name: str, split: str, points: dict[int, float], x: Axis, y: Axis) -> Line:
    ordered = sorted(points.items())
    finite: list[Point] = [(step, value) for step, value in ordered if math.isfinite(value)]
    runs = [thinned(run) for run in unbroken(ordered)]
    noisy = len(finite) > CALM and name != "learning_rate"
    mean = path_of([thinned(moving_mean(run, len(finite) // 30)) for run in unbroken(ordered)], x, y) if noisy else None
    alone = [run[0] for run in runs if len(run) == 1]
    dots = finite if len(finite) <= 25 else alone
    return Line(
        split,
        [point for run in runs for point in run],
        [step for step, value in ordered if not math.isfinite(value)],
        path_of(runs, x, y),
        mean,
        [(x(step), y(value)) for step, value in dots],
    )


def unbroken(points: Iterable[tuple[int, float]]) -> list[list[Point]]:
    runs: list[list[Point]] = [[]]
    for step, value in points:
        if math.isfinite(value):
            runs[-1].append((step, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def thinned(points: list[Point], buckets: int = BUCKETS) -> list[Point]:
    """The lowest and the highest point of each bucket: a spike stays a spike."""
    size = math.ceil(len(points) / buckets)
    if size <= 2:
        return points
    kept: list[Point] = [points[0]]
    for start in range(0, len(points), size):
        bucket = points[start : start + size]
        kept += {min(bucket, key=lambda p: p[1]), max(bucket, key=lambda p: p[1])}
    return sorted({*kept, points[-1]})


def moving_mean(points: list[Point], window: int) -> list[Point]:
    """The mean over `window` points around each one; fewer at the ends."""
    half = max(1, window // 2)
    sums = [0.0]
    for _, value in points:
        sums.append(sums[-1] + value)
    result = []
    for index, (step, _) in enumerate(points):
        first, last = max(0, index - half), min(len(points), index + half + 1)
        result.append((step, (sums[last] - sums[first]) / (last - first)))
    return result


def path_of(runs: list[list[Point]], x: Axis, y: Axis) -> str:
    return " ".join("M" + " L".join(f"{x(step)},{y(value)}" for step, value in run) for run in runs)
