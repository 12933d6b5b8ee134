"""A comparison as one self-contained page: tables that sort and filter, and learning curves over the seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prospect.runs.compare import bands, tables
from prospect.runs.compare.comparison import Comparison
from prospect.runs.compare.settings import short_names
from prospect.runs.compare.wording import number_of
from prospect.runs.redact import redact_known
from prospect.runs.reports import pages

NOTES = 12


def page(comparison: Comparison) -> str:
    """At most so many rows, columns and curves as `tables` and `bands` say; what is left out is said on the page."""
    drawn, names = bands.curves_of(comparison), short_names(comparison.keys)
    html = (
        pages.templates()
        .get_template("compare/page.html.j2")
        .render(
            comparison=comparison,
            breakable=tables.breakable,
            states=tables.states(comparison.entries),
            baseline=None if comparison.baseline is None else tables.clipped(comparison.baseline),
            best=_best(comparison),
            keys={key: names[key] for key in comparison.keys[: tables.SETTINGS]},
            metrics=comparison.metrics[: tables.METRICS],
            groups=tables.group_rows(comparison, {member.place: i for i, member in enumerate(drawn.members)}),
            runs=tables.run_rows(comparison),
            tests=tables.test_rows(comparison),
            curves=drawn,
            notes=_shortened([*comparison.notes, *_left_out(comparison)]),
            curve_notes=_shortened(drawn.notes),
            **pages.script("reports/page.js.j2", "compare/page.js.j2"),
        )
    )
    # a folder's name may hold bytes that are no text, and JSON half a character: neither can be written
    return redact_known(html).encode("utf-8", "replace").decode("utf-8")


def _best(comparison: Comparison) -> dict[str, Any] | None:
    if comparison.best is None:
        return None
    metric = comparison.metrics[0]  # there is no best one without
    return {
        "name": tables.clipped(comparison.best.name),
        "command": tables.clipped(comparison.best.command or "", tables.LINES),
        "metric": metric,
        "value": number_of(comparison.best.metrics[metric]),
    }


def _left_out(comparison: Comparison) -> list[str]:
    """Nothing is silently missing from the page."""
    several = {
        "runs": (len(comparison.entries), tables.ROWS),
        "groups": (len(comparison.groups), tables.ROWS),
        "tests": (len(comparison.tests), tables.ROWS),
        "metrics": (len(comparison.metrics), tables.METRICS),
    }
    notes = [
        f"The first {most:,} of {count:,} {word} are listed." for word, (count, most) in several.items() if count > most
    ]
    if hidden := comparison.keys[tables.SETTINGS :]:
        notes.append(f"Settings that differ as well: {', '.join(hidden)}.")
    return notes


def _shortened(notes: Sequence[str]) -> list[str]:
    more = len(notes) - NOTES
    shown = [tables.clipped(note, tables.LINES) for note in notes[:NOTES]]
    return [*shown, f"… and {more} more."] if more > 0 else shown
