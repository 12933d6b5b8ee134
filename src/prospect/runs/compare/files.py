"""A comparison as a file: JSON for programs, CSV with a row a run for notebooks, Markdown for a lab log."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from prospect.runs.compare import wording
from prospect.runs.compare.comparison import Comparison, Entry, Group
from prospect.runs.compare.settings import ABSENT, spelt
from prospect.runs.strict_json import plain


def as_json(comparison: Comparison) -> str:
    """Everything. Groups and `best` name their runs, which stand whole under `entries`."""
    told = plain(
        {
            "states": wording.states(comparison.entries),
            "metrics": comparison.metrics,
            "keys": comparison.keys,
            "baseline": comparison.baseline,
            "best": comparison.best and comparison.best.name,
            "groups": [_group(group) for group in comparison.groups],
            "tests": [asdict(test) for test in comparison.tests],
            "notes": comparison.notes,
            "entries": [vars(entry) for entry in comparison.entries],
        }
    )
    return json.dumps(told, ensure_ascii=False, allow_nan=False) + "\n"  # in lines it would take twice as long


def _group(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "settings": group.settings,
        "runs": [entry.name for entry in group.entries],
        "metrics": {metric: asdict(summary) for metric, summary in group.summaries.items()},
    }


def as_csv(comparison: Comparison) -> str:
    """A row a run: where it lies and what became of it, the settings that differ, all its metrics."""
    groups = {entry.name: group.name for group in comparison.groups for entry in group.entries}
    metrics = list(dict.fromkeys([*comparison.metrics, *(m for entry in comparison.entries for m in entry.metrics)]))
    facts = ("name", "folder", "state", "seed", "started", "seconds", "commit", "dirty", "problem")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*facts, "group", *comparison.keys, *metrics])
    for entry in comparison.entries:
        settings = [_setting(entry, key) for key in comparison.keys]
        numbers = [plain(entry.metrics.get(metric)) for metric in metrics]
        writer.writerow([*(vars(entry)[fact] for fact in facts), groups.get(entry.name, ""), *settings, *numbers])
    return text.getvalue()


def _setting(entry: Entry, key: str) -> str:
    """Of a broken run nothing is known, not even that the key is absent."""
    return spelt(entry.config.get(key, ABSENT)) if entry.config else ""


def as_markdown(comparison: Comparison) -> str:
    parts = [f"{wording.states(comparison.entries)}.", _overview(comparison)]
    if comparison.tests:
        parts += [f"Against {_escaped(comparison.baseline or '')}:", _tests(comparison)]
    if problems := wording.undone(comparison.entries):
        rows = [[e.state, e.name, e.problem or "", str(e.log or "")] for e in problems]
        parts += ["Not done:", _table(["state", "run", "why", "log"], rows)]
    parts += [f"Note: {_escaped(note)}." for note in comparison.notes]
    if comparison.best and comparison.best.command:
        metric = comparison.metrics[0]
        value = wording.number_of(comparison.best.metrics[metric])
        parts.append(f"Best by {metric}: {comparison.best.name} ({value}), again by `{comparison.best.command}`")
    return "\n\n".join(parts) + "\n"


def _overview(comparison: Comparison) -> str:
    seeds = wording.seeds(comparison)
    rows = [
        [group.name, seeds[group.name], *(wording.spread(group.summaries.get(m)) for m in comparison.metrics)]
        for group in comparison.groups
    ]
    return _table(["group", "seeds", *comparison.metrics], rows)


def _tests(comparison: Comparison) -> str:
    rows = [
        [
            *(test.metric, test.group, wording.signed(test.difference), wording.signed_interval(test)),
            *(wording.probability(test.p), wording.probability(test.p_holm), f"{test.count} {test.pairs}"),
        ]
        for test in comparison.tests
    ]
    return _table(["metric", "group", "difference", "95 %", "p", "p (Holm)", "pairs"], rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_escaped, line)) + " |" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
