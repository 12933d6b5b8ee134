from __future__ import annotations

import json
from types import SimpleNamespace

from prospect.runs.folder import Run
from prospect.runs.reports.report import write_report
from prospect.runs.reports.report_users import by_kind, by_user
from prospect.runs.reports.results import write_results

METRICS = {
    "exact": 0.5,
    "click/accuracy": 0.75,
    "user/10/samples": 1200,
    "user/10/exact": 0.25,
    "user/9/samples": 4,
    "user/9/exact": 1.0,
    "user/9/click/mean_distance": 12.34,
    "kind/<b>own/exact": 0.125,
}


def prefixed(split: str = "test") -> dict:
    return {f"{split}/{name}": value for name, value in METRICS.items()}


def test_users_go_by_number_and_what_was_not_measured_is_empty():
    found = by_user(prefixed())
    assert (found.of, found.split, [column.name for column in found.columns]) == (
        "user",
        "test",
        ["answers", "exact", "mean distance"],
    )
    assert found.rows == [("9", ["4", "1.000", "12.3"]), ("10", ["1,200", "0.250", ""])]
    assert by_kind(prefixed("val")).rows == [("<b>own", ["0.125"])]
    assert by_user({"test/accuracy": 1.0}) is None


def test_terminal_file_and_page_show_each_user(tmp_path, capsys):
    scored = SimpleNamespace(
        metrics=METRICS, predictions=[], confusion=None, events=None, watched=None, thresholds=None
    )
    scored.headline = ("exact", "click/accuracy")
    with Run.start(tmp_path / "run", {}, seed=0) as run:
        write_results(run, {"test": scored})
    shown = capsys.readouterr().out
    assert "test: by user" in shown
    assert "10      1,200  0.250" in shown
    assert "test  exact 0.500  click/accuracy 0.750" in shown
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["test/user/10/exact"] == 0.25
    page = write_report(tmp_path / "run").read_text()
    assert "By user <small>test</small>" in page
    assert "<tr><th>10</th><td>1,200</td>" in page
    assert "&lt;b&gt;own" in page
    assert "user/10/exact" not in page  # not in the table of all other numbers
