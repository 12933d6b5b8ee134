"""A comparison on the terminal: groups with their metrics, against the baseline, what differs, what went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from prospect.runs.compare import wording
from prospect.runs.compare.comparison import Comparison, Group
from prospect.runs.compare.groups import in_order
from prospect.runs.compare.settings import short_names, spelt
from prospect.runs.compare.statistics import LEAST

CELL, NAME = 13, 34  # characters of "0.314 ± 0.032", and of a group's name in one line
TESTS, KEYS, VALUES = 24, 16, 6  # how many are shown; the files have all


def show(comparison: Comparison, console: Console) -> None:
    console.print(Text(wording.states(comparison.entries), style="bold"))
    for table in _overviews(comparison, console.width):
        console.print(table)
    if comparison.groups and not comparison.metrics:
        console.print("no finished run has metrics yet", style="dim")
    if comparison.tests:
        console.print(_against(comparison))
    if comparison.keys and len(comparison.groups) > 1:
        console.print(_settings(comparison))
    if problems := wording.undone(comparison.entries):
        console.print(Text("\nnot done", style="italic"))
        for entry in problems:
            console.print(Text.assemble((entry.state, "red"), f" {entry.name}: {entry.problem or ''}"), soft_wrap=True)
            if entry.log:
                console.print(Text(f"  {entry.log}", style="dim"), soft_wrap=True)
    for note in comparison.notes:
        console.print(Text(f"note: {note}", style="yellow"), soft_wrap=True)
    if comparison.best:
        _best(comparison, console)


def _overviews(comparison: Comparison, width: int) -> Iterable[Table]:
    """As many metrics beside one another as the terminal has room for."""
    longest = max((len(group.name) for group in comparison.groups), default=0)
    room = max(1, (width - min(longest, NAME) - 8) // (CELL + 2))
    seeds = wording.seeds(comparison)
    for start in range(0, len(comparison.metrics), room):
        shown = comparison.metrics[start : start + room]
        table = _table("group", title="mean ± std over seeds" if not start else None)
        table.add_column("n", justify="right")
        for metric in shown:
            table.add_column(_header(metric), justify="right", no_wrap=True)
        for group in comparison.groups:
            cells = [wording.spread(group.summaries.get(metric)) for metric in shown]
            mark = " (baseline)" if group.name == comparison.baseline else ""
            table.add_row(Text(group.name + mark), seeds[group.name], *cells)
        yield table


def _header(metric: str) -> str:
    """test/dst/joint_goal_accuracy in lines as narrow as its numbers."""
    lines = [""]
    for part in metric.replace("/", "/ ").replace("_", "_ ").split(" "):
        if lines[-1] and len(lines[-1] + part) > CELL:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _against(comparison: Comparison) -> Table:
    tests, first = comparison.tests, comparison.metrics[0]
    title = f"against {comparison.baseline}"
    if len(tests) > TESTS:
        tests = [test for test in tests if test.metric == first]
        title += f" (the files have all {len(comparison.metrics)} metrics)"
    if all(test.p is None for test in tests):
        title += f" (no p under {LEAST} pairs)"
    table = _table("group", title=title)
    for name in ("difference", "95 %", "p (Holm)", "pairs"):
        table.add_column(name, justify="right", no_wrap=True)
    last = ""
    for test in tests:
        if test.metric != last:
            table.add_row(Text(test.metric, style="dim"))
            last = test.metric
        cells = (wording.signed(test.difference), wording.signed_interval(test), wording.probability(test.p_holm))
        style = "bold" if test.p_holm is not None and test.p_holm < 0.05 else None
        table.add_row(Padding(test.group, (0, 0, 0, 2)), *cells, f"{test.count} {test.pairs}", style=style)
    return table


def _settings(comparison: Comparison) -> Table:
    """What differs and how."""
    hidden = len(comparison.keys) - KEYS
    table = _table("setting", "values", title="what differs" + (f" ({hidden} more in the files)" if hidden > 0 else ""))
    short = short_names(comparison.keys)
    for key in comparison.keys[:KEYS]:
        values = [spelt(value) for value in _values(comparison.groups, key)]
        more = f", and {len(values) - VALUES} more" if len(values) > VALUES else ""
        table.add_row(Text(key if len(key) <= NAME else short[key]), Text(", ".join(values[:VALUES]) + more))
    return table


def _values(groups: Sequence[Group], key: str) -> list[object]:
    values = {spelt(group.settings[key]): group.settings[key] for group in groups}
    return in_order(values.values())


def _best(comparison: Comparison, console: Console) -> None:
    best, metric = comparison.best, comparison.metrics[0]
    assert best is not None
    value = wording.number_of(best.metrics[metric])
    console.print(Text.assemble("\nbest ", (best.name, "bold"), f"  {metric} {value}  {best.folder}"), soft_wrap=True)
    code = f"{best.commit[:9]}{', changed' if best.dirty else ''}" if best.commit else "of unknown commit"
    if best.command:
        console.print(Text(f"again (code {code}): {best.command}"), soft_wrap=True)


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(title=title and f"\n{title}", box=None, title_justify="left", header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")  # a name cut short could be that of another group
    return table
