"""report.html: one self-contained page of a run, built from what lies in its folder alone."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prospect.disk import write_atomically
from prospect.runs import claim, rows
from prospect.runs.folder import Run
from prospect.runs.redact import redact_known
from prospect.runs.reports import (
    curves,
    pages,
    report_answers,
    report_clips,
    report_completions,
    report_pairs,
    report_stream,
    report_users,
    report_watched,
)
from prospect.runs.wording import number

log = logging.getLogger(__name__)

FIRST_CHARTS = 6
LATER = ("grad_norm", "entropy", "logits/", "logps/", "mean_token_accuracy", "num_tokens")  # behind a click
HEADLINES = (
    *(
        "accuracy",
        "macro_f1",
        "speak/f1",
        "dst/f1",
        "speak/exact",
        "dst/exact",
        "dst/transition_f1",
        "dst/joint_goal_accuracy",
        "dialogue/f1",
        "exact",
        "click/accuracy",
        "yes_no/accuracy",
        "open/normalised",
        "format",
    ),
    *("preference_accuracy", "preference_likelier_before", "preference_likelier", "reward"),
)
IN_HEADER = ("train/steps", "train/seconds")


@contextmanager
def reported(run: Run) -> Iterator[None]:
    """Writes the report when the run is over, since it shows how it ended. A report that breaks changes no outcome."""
    done = False
    try:
        yield
        done = True
    finally:
        path = _attempt(run.folder) if run.is_main else None
        if done and path:
            print(f"report {path}")


def _attempt(folder: Path) -> Path | None:
    try:
        return write_report(folder)
    except Exception:
        log.exception("no report of %s could be written", folder)
        return None


def write_report(folder: Path) -> Path:
    """Also for a run that failed or still goes on: what is not there has no section, what is broken is said."""
    folder = Path(folder)
    notes: list[str] = []
    metrics = _json(folder / "metrics.json", notes)
    logged = _lines(folder / "metrics.jsonl", notes)
    drawn = curves.charts(logged)
    answers, watched = report_stream.parted(_predictions(folder, notes), notes)
    answers, pairs = report_pairs.parted(answers)
    freely = report_watched.groups(metrics, _watched(folder, notes), notes)
    html = (
        pages.templates()
        .get_template("reports/page.html.j2")
        .render(
            run=claim.read(folder),
            name="/".join(folder.absolute().parts[-2:]),
            config=_text(folder / "config.yaml"),
            freely=report_watched.headlines(metrics),
            freely_more=report_watched.others(metrics),
            timelines=freely,
            headlines=_headlines(metrics),
            table=_table(metrics),
            steps=metrics.get("train/steps"),
            charts=_chosen(drawn),
            broken=_broken(logged, drawn),
            classes=report_answers.by_class(metrics),
            users=report_users.by_user(metrics),
            kinds=report_users.by_kind(metrics),
            confusion=report_answers.confusion(_json(folder / "confusion.json", notes)),
            answers=report_answers.galleries(answers),
            preferred=report_pairs.tables(pairs),
            completions=report_completions.moments(_lines(folder / "completions.jsonl", notes)),
            decisions=report_stream.decisions(metrics),
            events=report_stream.events(metrics, _json(folder / "events.json", notes)),
            sweeps=report_stream.sweeps(_json(folder / "thresholds.json", notes), notes),
            clips=report_clips.clips(metrics, watched),
            notes=notes,
            **pages.script("reports/page.js.j2"),
        )
    )
    target = folder / "report.html"
    write_atomically(target, redact_known(html))
    return target


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _json(path: Path, notes: list[str]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        value = None
    if isinstance(value, dict):
        return value
    notes.append(f"{path.name} cannot be read and was left out.")
    return {}


def _lines(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    found, bad = rows.read(path)
    if bad:
        where = f"line {bad[0]}" if len(bad) == 1 else f"{len(bad)} lines, the first of them line {bad[0]},"
        notes.append(f"{path.name}: {where} cannot be read and was left out.")
    return found


def _predictions(folder: Path, notes: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The rows of every split, test first."""
    order = {split: index for index, split in enumerate(curves.SPLITS)}
    told = [file for file in folder.glob("predictions/*.jsonl") if "." not in file.stem]  # not those watched freely
    files = sorted(told, key=lambda file: (order.get(file.stem, len(order)), file.name))
    return {file.stem: _lines(file, notes) for file in files}


def _watched(folder: Path, notes: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The rows of clips that were watched freely, by split."""
    files = sorted(folder.glob("predictions/*.watched.jsonl"))
    return {file.name.removesuffix(".watched.jsonl"): _lines(file, notes) for file in files}


def _headlines(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """The big numbers: of the test split, or of validation where there is no test."""
    for split in ("test", "val"):
        found = [
            {"split": split, "name": n, "value": metrics[f"{split}/{n}"]}
            for n in HEADLINES
            if f"{split}/{n}" in metrics and not report_watched.belongs(f"{split}/{n}", metrics)
        ]
        if found:
            return found
    return []


def _table(metrics: dict[str, Any]) -> dict[str, Any] | None:
    cells: dict[str, dict[str, Any]] = {}
    for key, value in metrics.items():
        split, name = curves.split_of(key)
        shown = report_stream.is_in_tables(key, metrics) or report_watched.belongs(key, metrics)
        shown = shown or name.startswith(("class/", *report_users.PREFIXES))
        if key not in IN_HEADER and not shown:
            cells.setdefault(name, {})[split] = value
    intervals = {
        name: (f"{name}_low", f"{name}_high") for name in cells if {f"{name}_low", f"{name}_high"} <= cells.keys()
    }
    ends = {name: [cells.pop(end) for end in intervals[name]] for name in intervals}
    columns = [split for split in (*curves.SPLITS, "") if any(split in row for row in cells.values())]
    order = sorted(cells, key=lambda name: HEADLINES.index(name) if name in HEADLINES else len(HEADLINES))
    return {"columns": columns, "rows": [(name, cells[name]) for name in order], "ends": ends} if cells else None


def _chosen(drawn: list[curves.Chart]) -> dict[str, list[curves.Chart]]:
    """The first ones in sight, the others behind a click. A single loss term only repeats the loss, and a flat curve is
    its last number."""
    terms = [chart for chart in drawn if chart.name.startswith("loss") and chart.name != "loss"]
    later = [chart for chart in drawn if chart.name.startswith(LATER) or (len(terms) == 1 and chart in terms)]
    later += [chart for chart in drawn if chart not in later and all(line.is_flat for line in chart.lines)]
    first = [chart for chart in drawn if chart not in later]
    shown = max(FIRST_CHARTS, *(first.index(term) + 1 for term in terms)) if len(terms) > 1 else FIRST_CHARTS
    return {"first": first[:shown], "more": first[shown:] + later}


def _broken(logged: list[dict[str, Any]], drawn: list[curves.Chart]) -> list[str]:
    """What was NaN or infinite, and from which step on: the first thing to know about a run that went wrong."""
    first: dict[str, Any] = {}
    for row in logged:
        for key, value in row.items():
            real = curves.as_number(value)
            if real is not None and not math.isfinite(real):
                first.setdefault(key, (number(value), row.get("step", "?")))
    return [f"{key} is {value} at step {step}" for key, (value, step) in first.items()]
