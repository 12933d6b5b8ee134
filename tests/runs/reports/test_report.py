"""The report: everything that the folder holds, nothing that it does not, and no foreign word taken for markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.runs import claim, redact
from prospect.runs.folder import Run
from prospect.runs.reports.curves import BUCKETS, as_number, charts, moving_mean, nice, thinned
from prospect.runs.reports.report import reported, write_report
from prospect.runs.wording import number, short, span, tick

HOSTILE = "<script>alert(1)</script>"
CLOSING = "</script></style></title>\"'><img src=http://evil.example/x onerror=alert(1)>{{ 7 * 7 }}"
PIXEL = "data:image/png;base64,iVBORw0KGgo="
VOID = {"meta", "img", "br", "line", "circle", "path", "link", "input", "wbr"}


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setattr(redact, "_remembered", set())


class Page(HTMLParser):
    """Every tag with its attributes, the text a reader sees, and whether all tags are closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.feed(self.source)
        self.close()
        assert self.open == [], "tags left open"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def count(self, tag: str, kind: str = "") -> int:
        return sum(name == tag and kind in ["", *(attrs.get("class") or "").split()] for name, attrs in self.tags)


@contextmanager
def failed(run: Run, error: Exception) -> Iterator[Run]:
    """A run that fails at the end of the block."""
    with suppress(type(error)), run:
        yield run
        raise error


def fill(place: Path, word: str = "water") -> None:
    """Everything that a run can leave, with a word of the user's choice wherever one can stand."""
    labels = [word, "fire"]
    rows = [{"step": n, "train/loss": 1 / (n + 1), f"train/loss_{word}": 1.0, "val/accuracy": 0.5} for n in range(5)]
    (place / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    metrics = {"test/accuracy": 0.9583, "val/accuracy": 1.0, "test/macro_f1": float("nan"), f"test/{word}": word}
    metrics |= {f"test/class/{word}/{name}": 0.25 for name in ("precision", "recall", "f1")}
    metrics |= {f"test/class/{word}/support": 12, "train/steps": 600, word: 3}
    confusion = {"split": word, "labels": labels, "columns": [*labels, word], "matrix": [[9, 1, 2], [0, 12, 0]]}
    answer = {
        "id": word,
        "question": word,
        "label": word,
        "prediction": word,
        "text": f"{word} again",
        "correct": False,
        "image": PIXEL,
    }
    (place / "predictions").mkdir()
    (place / "predictions" / "test.jsonl").write_text(json.dumps(answer) + "\n")
    for name, value in (("metrics.json", metrics), ("confusion.json", confusion)):
        (place / name).write_text(json.dumps(value))


def test_everything_is_shown(tmp_path):
    with Run.start(tmp_path / "a", {"model": {"hidden": 96}}, 5, command=["python", "train.py", "seed=5"]) as run:
        fill(run.folder)
        run.record(data={"fingerprint": "3f3f"})
    page = Page(write_report(tmp_path / "a"))
    for words in (
        "DONE",
        "$ python",
        "seed 5",
        "0.9583",
        "1.0000",
        "NaN",
        "600 steps",
        "hidden: 96",
        "omegaconf",
        "3f3f",
    ):
        assert words.replace("$ ", "") in page.text, words
    assert page.count("figure") == 3  # loss, its one term, accuracy
    assert page.count("section", "error") == 0
    assert page.count("div", "wrong") == 1
    assert "is water" in page.text
    assert "“water again”" in page.text
    assert "test macro_f1" in page.text
    assert "0.2500" in page.text


def test_an_interval_stands_beside_its_number_and_flat_curves_behind_a_click(tmp_path):
    metrics = {"test/accuracy": 0.8, "test/accuracy_low": 0.7, "test/accuracy_high": 0.9, "test/loss_low": 0.125}
    rows = [{"step": step, "train/aaa": 0.0, "train/reward": step / 8} for step in range(1, 8)]
    with Run.start(tmp_path / "a", {}, 0) as run:
        (run.folder / "metrics.json").write_text(json.dumps(metrics))
        (run.folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = Page(write_report(tmp_path / "a"))
    assert "accuracy 0.8000 0.7000 to 0.9000 loss_low 0.1250" in page.text
    assert "accuracy_low" not in page.text
    assert "More aaa" in page.text


def test_what_is_not_there_has_no_section(tmp_path):
    with Run.start(tmp_path / "a", {}, 0):
        pass
    page = Page(write_report(tmp_path / "a"))
    assert page.count("figure") == page.count("table", "heat") == page.count("div", "card") == 0
    for words in ("Learning", "Confusion", "By class", "Answers", "Starts"):
        assert words not in page.text


@pytest.mark.parametrize("word", [HOSTILE, CLOSING])
def test_foreign_words_are_text_everywhere(tmp_path, word):
    clean, hostile = tmp_path / "clean", tmp_path / "hostile"
    for place, name in ((clean, "water"), (hostile, word)):
        with failed(Run.start(place, {name: name}, 0, command=["train.py", name]), RuntimeError(name)) as run:
            fill(place, name.replace("/", "∕"))  # a slash would divide the keys of metrics
            (place / "predictions" / "val.jsonl").write_text(json.dumps(dict.fromkeys(("id", "label", "text"), name)))
            run.record(data={name: name}, git={"commit": name, "branch": name, "dirty": True})
    page, plain = Page(write_report(hostile)), Page(write_report(clean))
    shape = [(tag, sorted(attrs)) for tag, attrs in page.tags]
    assert shape == [(tag, sorted(attrs)) for tag, attrs in plain.tags]
    assert page.scripts == plain.scripts
    assert len(page.scripts) == 1
    assert "".join(word.split()) in "".join(page.text.split())


def test_nothing_is_asked_of_the_network(tmp_path):
    with Run.start(tmp_path / "a", {}, 0) as run:
        fill(run.folder)
        bad = [
            "http://evil.example/x.png",
            "javascript:alert(1)",
            'data:image/png;base64,A" onerror="x',
            "data:image/svg+xml,<svg/>",
        ]
        rows = [
            {"id": str(n), "label": "a", "prediction": "a", "correct": True, "image": uri} for n, uri in enumerate(bad)
        ]
        (run.folder / "predictions" / "val.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = Page(write_report(tmp_path / "a"))
    sources = [
        value for _, attrs in page.tags for name, value in attrs.items() if name in {"src", "href", "srcset", "data"}
    ]
    assert sources == [PIXEL]
    assert "url(" not in page.source
    assert "@import" not in page.source
    policy = next(attrs["content"] or "" for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs)
    digest = base64.b64encode(hashlib.sha256(page.scripts[0].encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


def test_a_failed_run_shows_its_error_and_the_half_line(tmp_path):
    with failed(Run.start(tmp_path / "a", {}, 0), ValueError("bad picture a.png")) as run:
        rows = [{"step": 1, "train/loss": 2.0}, {"step": 2, "train/loss": "NaN"}, {"step": 3, "train/loss": "nan"}]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (run.folder / "metrics.jsonl").write_bytes(text.encode() + '{"step": 4, "train/löss'.encode()[:-1])
        (run.folder / "metrics.json").write_text("{")
    page = Page(write_report(tmp_path / "a"))
    assert page.count("section", "error") == 1
    assert "ValueError bad picture a.png" in page.text
    assert "metrics.jsonl: line 4 cannot be read and was left out." in page.text
    assert "metrics.json cannot be read and was left out." in page.text
    assert "train/loss is NaN at step 2" in page.text
    assert page.count("line", "broken") == 2


def test_a_killed_run(tmp_path):
    with Run.start(tmp_path / "a", {}, 0):
        facts = json.loads((tmp_path / "a" / "run.json").read_text())
        facts["process"]["born"] = "1"
        (tmp_path / "a" / "run.json").write_text(json.dumps(facts))
        page = Page(write_report(tmp_path / "a"))
    assert "KILLED" in page.text
    assert "resume=DIR" in page.text


def test_a_run_that_still_goes_on(tmp_path):
    with Run.start(tmp_path / "a", {}, 0):
        assert "RUNNING" in Page(write_report(tmp_path / "a")).text
    assert "DONE" in Page(write_report(tmp_path / "a")).text


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(claim.UserError, match="no run folder"):
        write_report(tmp_path)


def test_wrong_answers_come_first_and_the_rest_is_counted(tmp_path):
    with Run.start(tmp_path / "a", {}, 0) as run:
        (run.folder / "predictions").mkdir()
        rows = [{"id": f"s{n}", "label": "a", "prediction": "a", "text": "a", "correct": n != 150} for n in range(200)]
        rows += [{"id": "unread", "label": "a", "prediction": None, "text": "?", "correct": False}]
        (run.folder / "predictions" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = Page(write_report(tmp_path / "a"))
    assert "2 of 201 wrong; 60 shown" in page.text
    assert page.count("div", "card") == 60
    assert page.text.index("s150") < page.text.index("unread") < page.text.index("s0")
    assert "(none)" in page.text


def test_the_report_of_a_command_knows_how_it_ended(tmp_path, capsys):
    run = Run.start(tmp_path / "a", {}, 0)
    with reported(run), run:
        pass
    assert "DONE" in Page(tmp_path / "a" / "report.html").text
    assert capsys.readouterr().out == f"report {tmp_path}/a/report.html\n"
    run = Run.start(tmp_path / "b", {}, 0)
    with suppress(KeyboardInterrupt), reported(run), run:
        raise KeyboardInterrupt
    assert "INTERRUPTED" in Page(tmp_path / "b" / "report.html").text
    assert capsys.readouterr().out == ""


def test_another_rank_writes_none(tmp_path, monkeypatch):
    with Run.start(tmp_path / "a", {}, 0):
        monkeypatch.setenv("RANK", "1")
        other = Run.start(tmp_path / "a", {}, 0)
        with reported(other), other:
            pass
        assert not (tmp_path / "a" / "report.html").exists()


def test_a_report_that_breaks_changes_no_outcome(tmp_path, caplog):
    run = Run.start(tmp_path / "a", {}, 0)
    with reported(run), run:
        (run.folder / "confusion.json").write_text(json.dumps({"labels": ["a"], "matrix": [["x"]]}))
    assert "no report of" in caplog.text
    assert claim.read(tmp_path / "a")["state"] == "DONE"


# --- curves


def test_a_resumed_run_has_one_curve():
    rows = [{"step": step, "train/loss": value} for step, value in [(1, 5.0), (2, 4.0), (3, 9.0), (2, 4.5), (3, 3.0)]]
    (chart,) = charts(rows)
    assert chart.lines[0].points == [(1, 5.0), (2, 4.5), (3, 3.0)]


def test_splits_share_a_chart_and_charts_share_the_steps():
    rows = [
        {"step": 10, "epoch": 1, "seconds": 2, "train/loss": 2.0, "val/loss": 1.0},
        {"step": 90, "val/accuracy": 0.5},
    ]
    rows += [{"step": 90, "val/class/a/f1": 1.0, "val/note": "text", "train/flag": True}]
    drawn = charts(rows)
    assert [(chart.name, [line.split for line in chart.lines]) for chart in drawn] == [
        ("loss", ["train", "val"]),
        ("accuracy", ["val"]),
    ]
    assert {(chart.x.low, chart.x.high) for chart in drawn} == {(0, 90)}
    assert (drawn[1].y.low, drawn[1].y.high) == (0, 1)


def test_a_gap_where_it_is_not_finite():
    values = [1.0, 2.0, float("nan"), 3.0, "Infinity", 2.0, 2.5]
    (chart,) = charts([{"step": n, "x": value} for n, value in enumerate(values)])
    assert chart.lines[0].path.count("M") == 3
    assert chart.lines[0].broken == [2, 4]


def test_only_nan_draws_nothing():
    assert charts([{"step": 1, "train/loss": "NaN"}]) == []


def test_a_loss_over_decades_is_logarithmic():
    (chart,) = charts([{"step": n, "train/loss": 10.0**-n} for n in range(4)])
    assert chart.y.log
    assert [round(chart.y(10.0**-n), 1) for n in range(4)] == pytest.approx([8.0, 55.3, 102.7, 150.0], abs=0.2)


finite = st.floats(-1e12, 1e12, allow_nan=False)


@settings(max_examples=200)
@given(
    st.dictionaries(st.integers(0, 10**7), finite, min_size=1, max_size=40), st.sampled_from(["loss", "accuracy", "x"])
)
def test_every_point_lies_inside_the_picture(points, name):
    for chart in charts([{"step": step, f"train/{name}": value} for step, value in sorted(points.items())]):
        pairs = [pair.split(",") for pair in re.findall(r"[\d.e-]+,[\d.e-]+", chart.lines[0].path)]
        assert all(43.9 <= float(x) <= 350.1 and 7.9 <= float(y) <= 150.1 for x, y in pairs)


@given(finite, st.floats(1e-6, 1e9))
def test_ticks_enclose_the_values(low, width):
    ticks = nice(low, low + width, 4) if low + width > low else [low, low + width]
    slack = 1e-6 * max(abs(low), width)
    assert ticks[0] <= low + slack
    assert ticks[-1] >= low + width - slack
    assert len(ticks) <= 8


@given(st.lists(finite, min_size=1, max_size=3000))
def test_thinning_keeps_the_extremes_and_the_ends(values):
    points = [(float(n), value) for n, value in enumerate(values)]
    kept = thinned(points)
    assert len(kept) <= 2 * BUCKETS + 2
    assert {points[0], points[-1]} <= set(kept) <= set(points)
    assert max(value for _, value in kept) == max(values)
    assert min(value for _, value in kept) == min(values)


def test_moving_mean():
    assert moving_mean([(0, 0.0), (1, 3.0), (2, 6.0), (3, 0.0)], 3) == [(0, 1.5), (1, 3.0), (2, 3.0), (3, 3.0)]


def test_numbers_as_people_read_them():
    shown = [
        number(x) for x in (0.95833, 1.0, 0, 0.0, 1234, 60.0, 3e-5, 12.3456, 4567.8, "NaN", float("nan"), "text", True)
    ]
    assert " ".join(shown) == "0.9583 1.0000 0 0 1,234 60 3.0e-5 12.35 4,568 NaN NaN text True"
    assert [short(x) for x in (0.02651, 3e-3, 1.5e-5, 0.0)] == ["0.0265", "0.003", "1.5e-5", "0"]
    assert [tick(x) for x in (0, 0.05, 1e-4, 2.5e-4, 1000, 1e6)] == ["0", "0.05", "1e-4", "2.5e-4", "1,000", "1e6"]
    assert [span(x) for x in (0.44, 59.6, 61, 3725)] == ["0.4 s", "1 min 00 s", "1 min 01 s", "1 h 02 min"]
    assert as_number("-Infinity") == float("-inf")
    assert as_number(True) is None


def test_whole_numbers_beyond_every_float_break_no_report():
    huge = 10**400
    assert (as_number(huge), as_number(-huge)) == (float("inf"), float("-inf"))
    assert number(-huge) == "-Infinity"
    rows = [{"step": 1, "train/x": 1.0}, {"step": 2, "train/x": huge}, {"step": 3, "train/x": 3.0}]
    (chart,) = charts([*rows, {"step": huge, "train/x": 2.0}])
    assert chart.lines == charts([rows[0], {"step": 2, "train/x": "Infinity"}, rows[2]])[0].lines
