"""The page of a comparison: everything that it says, nothing taken for markup, and never more than it can carry."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import fmean, stdev

import pytest
from tests.runs.reports.test_report import CLOSING, Page

from prospect.runs.compare import tables
from prospect.runs.compare.comparison import Comparison, Entry, Group, Summary
from prospect.runs.compare.comparison import Test as Paired  # not one to be collected
from prospect.runs.compare.page import page

HOSTILE = "</script></style><script>document.title = 'owned'</script><img src=http://127.0.0.1:9/x onerror=alert(1)>"
METRIC = "test/speak/f1"


def entry(folder: Path, name: str, state="DONE", seed=None, weight=None, f1=None, problem=None, rows=None) -> Entry:
    """A run with a folder of curves, unless it is broken."""
    place = folder / name.replace("/", "_")[:40]
    place.mkdir(exist_ok=True)
    if state != "BROKEN":
        rows = rows or [{"step": step, "train/loss": 1 / step + (f1 or 0)} for step in range(10, 60, 10)]
        (place / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Entry(
        folder=place,
        name=name,
        state=state,
        problem=problem,
        log=place / "train.log",
        command=f"python train.py loss.weight={weight} seed={seed}",
        seed=seed,
        commit="673012b7527faf4c68ab30e8e3b47cfe70ab5c8d",
        dirty=name == "r1",
        seconds=12.5,
        config={} if weight is None else {"loss.weight": weight, "seed": seed},
        metrics={} if f1 is None else {METRIC: f1},
    )


def compared(entries: list[Entry], **said) -> Comparison:
    """Groups by weight, the first one the baseline; p-values that were made up."""
    weights = sorted({e.config["loss.weight"] for e in entries if e.config}, key=str)
    groups = [group(w, [e for e in entries if e.config.get("loss.weight") == w]) for w in weights]
    tests = [
        Paired(METRIC, other.name, groups[0].name, "seeds", 3, 0.15, 0.1, 0.2, 0.01, 0.02 * place)
        for place, other in enumerate(groups[1:], start=1)
    ]
    scored = [e for e in entries if METRIC in e.metrics]
    whole = {
        "entries": entries,
        "keys": ["loss.weight"],
        "groups": groups,
        "metrics": [METRIC],
        "baseline": groups[0].name if groups else None,
        "tests": tests,
        "best": max(scored, key=lambda e: e.metrics[METRIC], default=None),
    }
    return Comparison(**(whole | said))


def group(weight, entries: list[Entry]) -> Group:
    values = {e.seed: e.metrics[METRIC] for e in entries if METRIC in e.metrics}
    known = list(values.values())
    spread = None if len(known) < 2 else stdev(known) if all(map(math.isfinite, known)) else math.nan
    summary = Summary(fmean(known), spread, len(known), min(known), max(known), values) if known else None
    return Group(f"weight={weight}", {"loss.weight": weight}, entries, {METRIC: summary} if summary else {})


def read(tmp_path, comparison: Comparison) -> Page:
    (tmp_path / "page.html").write_text(page(comparison), encoding="utf-8")
    return Page(tmp_path / "page.html")


def test_it_says_what_was_compared(tmp_path):
    runs = [entry(tmp_path, f"r{i}", seed=i % 3, weight=(0.5, 2.0)[i // 3], f1=0.1 + i / 10) for i in range(6)]
    runs.append(entry(tmp_path, "lost", state="FAILED", seed=3, weight=2.0, problem="OutOfMemoryError: 2 GiB"))
    text = read(tmp_path, compared(runs, notes=["two commits"])).text
    assert "7 runs compared" in text
    assert "6 DONE" in text
    assert "1 FAILED" in text
    assert "baseline weight=0.5" in text
    assert "best run r5 , test/speak/f1 0.600" in text
    assert "$" not in text  # the prompt is style, so it is not copied
    assert "python train.py loss.weight=2.0 seed=2" in text
    assert "0.500 ± 0.100 (3)" in text
    assert "0.400 … 0.600" in text
    assert "Δ +0.150, p 0.0200" in text
    assert "OutOfMemoryError: 2 GiB" in text
    assert str(tmp_path / "lost" / "train.log") in text
    assert "673012b75 changed" in text
    assert "two commits" in text


def test_too_few_pairs_have_no_p(tmp_path):
    runs = [entry(tmp_path, f"r{i}", seed=0, weight=float(i), f1=0.1) for i in range(2)]
    tests = [Paired(METRIC, "weight=1.0", "weight=0.0", "seeds", 1, 0.0, None, None, None, None)]
    assert "Δ 0.000, no p" in read(tmp_path, compared(runs, tests=tests)).text


def test_no_foreign_word_becomes_markup(tmp_path):
    runs = [entry(tmp_path, CLOSING, seed=i, weight=CLOSING, f1=0.1, problem=CLOSING) for i in range(2)]
    runs.append(entry(tmp_path, "lost" + HOSTILE, state="KILLED", weight=HOSTILE, problem=HOSTILE))
    shown = read(
        tmp_path,
        compared(
            runs,
            keys=["loss.weight", CLOSING],
            metrics=[METRIC, CLOSING],
            notes=[CLOSING],
            baseline=f"weight={CLOSING}",
        ),
    )
    assert len(shown.scripts) == 1
    assert shown.count("img") == 0
    assert "owned" not in shown.scripts[0]
    assert CLOSING in shown.text
    assert all(not name.startswith("on") for _, attrs in shown.tags for name in attrs)
    assert "default-src 'none'" in shown.source


def test_what_cannot_be_written_as_text_still_has_a_page(tmp_path):
    runs = [entry(tmp_path, "r0", seed=0, weight="half a letter \ud83d", f1=0.1)]
    assert "half a letter ?" in read(tmp_path, compared(runs)).text


@pytest.mark.parametrize("states", [[], ["BROKEN"], ["FAILED", "RUNNING"]])
def test_nothing_to_compare_is_a_page_too(tmp_path, states):
    runs = [entry(tmp_path, f"r{i}", state=state, problem="why") for i, state in enumerate(states)]
    text = read(tmp_path, compared(runs, metrics=[])).text
    assert f"{len(states)} run" in text
    assert text.count("why") == len([state for state in states if state != "RUNNING"])


def test_nan_is_said_and_drawn_nowhere(tmp_path):
    runs = [entry(tmp_path, f"r{i}", seed=i, weight=1.0, f1=math.nan if i else 0.5) for i in range(2)]
    shown = read(tmp_path, compared(runs))
    assert "NaN" in shown.text
    assert not [v for _, attrs in shown.tags for k, v in attrs.items() if k in {"cx", "x1", "x2", "d"} and "nan" in v]


def test_more_than_a_page_can_carry_is_left_out_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROWS", 5)
    runs = [entry(tmp_path, f"r{i}", seed=0, weight=i, f1=i / 100) for i in range(9)]
    keys = ["loss.weight", *(f"other.key{i}" for i in range(10))]
    shown = read(tmp_path, compared(runs, keys=keys, metrics=[METRIC, *(f"test/m{i}" for i in range(20))]))
    assert "The first 5 of 9 runs are listed." in shown.text
    assert "The first 5 of 9 groups are listed." in shown.text
    assert "Settings that differ as well: other.key7, other.key8, other.key9." in shown.text
    assert "The first 12 of 21 metrics are listed." in shown.text
    assert shown.count("tbody") == 5 + 5 + 5
    assert "8 of 9 groups are drawn" in shown.text


def test_long_words_are_cut(tmp_path):
    runs = [entry(tmp_path, "r0", seed=0, weight="x" * 10**5, f1=0.1, problem="y" * 10**5)]
    assert len(page(compared(runs))) < 10**5


def test_a_setting_is_spelt_and_sorted():
    spelt = [tables.setting("a", value)["text"] for value in (None, True, 1.0, 1e-05, "x", [1, "a"], "(absent)")]
    assert spelt == ["null", "true", "1.0", "1e-05", "x", "[1,a]", ""]
    assert tables.setting("a._target_", "prospect.models.tiny.tiny")["text"] == "tiny"
    sorted_by = [tables.order(value) for value in (1, 0.5, math.nan, math.inf, True, "1", None)]
    assert sorted_by == ["1", "0.5", "", "Infinity", "", "", ""]


def test_a_long_head_may_break_and_is_no_markup():
    assert tables.breakable("<a>/b_c") == "&lt;a&gt;/<wbr>b_<wbr>c"
