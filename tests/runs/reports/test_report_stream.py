"""The report of streams: every number is one that the run left, every mark lies where predictions say."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.evaluation.thresholds import sweep
from prospect.runs.folder import Run
from prospect.runs.reports.curves import HEIGHT
from prospect.runs.reports.report import write_report
from prospect.runs.reports.report_clips import _number, clips
from prospect.runs.reports.report_stream import X, Y, decisions, events, parted, sweeps

HOSTILE = "</script><script>alert(1)</script>{{ 7 * 7 }}"
PIXEL = "data:image/png;base64,iVBORw0KGgo="
RATES = ("precision", "recall", "f1", "ap", "balanced_accuracy", "false_alarms")


def metrics(split: str, first: float) -> dict[str, float]:
    """No two values are the same, so that each cell can be told from the others."""
    found, value = {}, first
    for name in ("speak", "dst"):
        for rate in (*RATES, "threshold", "kind/next/recall", "kind/false alarm/recall", "exact"):
            value = round(value + 0.0101, 4)
            found[f"{split}/{name}/{rate}"] = value
    return found


METRICS = {**metrics("test", 0.3), **metrics("val", 0.6), "test/loss_dst_gen": 0.0123}
EVENTS = {
    "split": "test",
    "events": [
        {"decision": "speak", "kind": "next", "called": 457, "of": 1009, "recall": 0.5},
        {"decision": "dst", "kind": "false alarm", "called": 23, "of": 3001, "recall": 0.5},
    ],
}


def row(name: str = "clip", **more) -> dict:
    return {
        "id": name,
        "frames": 4,
        "fps": 2.0,
        "numbers": [[10, 12], [20, 22]],
        "wrong": 2,
        "speak": {"at": [1, 2], "p": [0.2, 0.95, 0.1, 0.93]},
        "dst": {"at": [2], "p": [0.0, 0.0, 0.99, 0.0]},
        "events": [[1, "speak/next"], [2, "speak/end"], [2, "dst/start"]],
        "thumbnails": [{"at": 1, "image": PIXEL}, {"at": 3, "image": "http://evil.example/x.png"}],
        **more,
    }


@pytest.fixture
def page(tmp_path):
    def written(rows, numbers=METRICS, counted=EVENTS) -> str:
        with Run.start(tmp_path / "a", {}, 0) as run:
            run.write_json("metrics.json", numbers)
            run.write_json("events.json", counted)
            run.write_text("predictions/test.jsonl", "".join(json.dumps(each) + "\n" for each in rows))
        return write_report(tmp_path / "a").read_text()

    return written


def test_every_number_is_shown_once(page):
    html = page([row()])
    tables = " ".join(re.findall(r"<table.*?</table>", html, re.DOTALL))
    for key, value in METRICS.items():
        assert len(re.findall(rf"\b{value:.4f}\b", tables)) == 1, key
    for count in ("457", "1,009", "23", "3,001"):
        assert f"<td>{count}</td>" in tables


def test_the_decisions_of_every_split():
    rows = decisions(METRICS)
    assert [(each["decision"], each["split"]) for each in rows] == [
        ("speak", "test"),
        ("speak", "val"),
        ("dst", "test"),
        ("dst", "val"),
    ]
    for each in rows:
        for rate in (*RATES, "threshold"):
            assert each[rate] == METRICS[f"{each['split']}/{each['decision']}/{rate}"]
    assert decisions({"test/accuracy": 1.0, "test/speak/f1": 1.0}) == []


def test_events_have_the_rates_of_all_splits_and_false_alarms_come_last():
    found = events(METRICS, EVENTS)
    assert found is not None
    assert found["splits"] == ["test", "val"]
    assert [(each["decision"], each["kind"]) for each in found["rows"]] == [
        ("speak", "next"),
        ("speak", "false alarm"),
        ("dst", "next"),
        ("dst", "false alarm"),
    ]
    first = found["rows"][0]
    assert (first["called"], first["of"]) == (457, 1009)
    assert first["rates"] == {split: METRICS[f"{split}/speak/kind/next/recall"] for split in ("test", "val")}
    assert found["rows"][1]["called"] is None
    assert events({"test/accuracy": 1.0}, {}) is None


# --- sweeps


cases = st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=1, max_size=40).filter(
    lambda case: any(label for label, _ in case)
)


def thresholds(rows, theta: float = 0.5) -> dict:
    """What an evaluation writes of these rows."""
    return json.loads(json.dumps(sweep({"test": rows}, {"speak": theta, "dst": 0.5})))


def swept(case):
    at = [place for place, (label, _) in enumerate(case) if label]
    found = {"at": at, "p": [score / 10 for _, score in case]}
    return sweeps(thresholds([row(speak=found)]), [])[:2]


@given(cases, st.integers(0, 200))
def test_f1_over_the_threshold_equals_counting(case, part):
    threshold = (part + 0.5) / 201  # never where scores lie
    _, chart = swept(case)
    (line,) = chart.lines
    left = [value for at, value in line.points if at <= threshold]
    called = [score / 10 > threshold for _, score in case]
    hits = sum(yes and label for yes, (label, _) in zip(called, case, strict=True))
    assert left[-1] == pytest.approx(2 * hits / (sum(called) + sum(label for label, _ in case)), abs=1e-6)
    assert [at for at, _ in line.points] == sorted(at for at, _ in line.points)


@given(cases)
def test_precision_over_recall_equals_counting(case):
    """At every score that some threshold calls: none calls a score of 0."""
    (line,) = swept(case)[0].lines
    expected = set()
    for least in {score for _, score in case if score}:
        labels = [label for label, score in case if score >= least]
        of = sum(label for label, _ in case)
        expected.add((round(sum(labels) / of, 6), round(sum(labels) / len(labels), 6)))
    assert set(line.points[1:]) == expected
    assert not line.points or line.points[0] == (0.0, line.points[1][1])


def test_the_chosen_threshold_is_marked_on_every_split():
    found = json.loads(json.dumps(sweep({"test": [row()], "val": [row()]}, {"speak": 0.94, "dst": 0.5})))
    recall, f1, *_ = sweeps(found, [])
    assert f1.marks == [("val", 0.94), ("test", 0.94)]
    for line in f1.lines:
        assert line.dots == [(X(0.94), Y(2 / 3))]  # one of two events, and no false alarm
    for line in recall.lines:
        assert line.dots == [(X(0.5), Y(1))]
    assert f1.lines[0].value == pytest.approx(2 / 3)
    assert recall.lines[0].value == found["decisions"]["speak"]["splits"]["val"]["ap"]


def test_a_split_without_events_has_no_sweep():
    quiet = {"at": [], "p": [0.5, 0.5, 0.5, 0.5]}
    assert sweeps(thresholds([row(speak=quiet, dst=quiet)]), []) == []
    assert sweeps({}, []) == []
    assert Y(1) < Y(0) <= HEIGHT


def test_a_damaged_sweep_is_left_out_and_said():
    whole = thresholds([row()])
    assert len(sweeps(whole, [])) == 4
    for damage in (
        lambda found: found.pop("threshold"),
        lambda found: found["splits"]["test"].pop("ap"),
        lambda found: found["splits"].update(test=HOSTILE),
        lambda found: found["splits"]["test"]["curve"].update(theta=[0.0]),
        lambda found: found["splits"]["test"]["curve"].update(f1=[HOSTILE] * 5),
        lambda found: found["splits"]["test"]["curve"].pop("recall"),
        lambda found: found.update(threshold=float("nan")),
    ):
        broken, notes = json.loads(json.dumps(whole)), []
        damage(broken["decisions"]["speak"])
        assert [chart.name.split(":")[0] for chart in sweeps(broken, notes)] == ["dst", "dst"]
        assert notes == ["thresholds.json: speak is damaged and was left out."]


def test_the_page_draws_them(tmp_path):
    with Run.start(tmp_path / "a", {}, 0) as run:
        run.write_text("thresholds.json", json.dumps(thresholds([row()])))
    html = write_report(tmp_path / "a").read_text()
    assert "Decisions at every threshold" in html
    assert "speak: F1 over θ" in html
    assert html.count('<line class="mark c-test"') == 2


# --- clips


def test_marks_lie_at_their_frames():
    thresholds = {"test/speak/threshold": 0.9, "test/dst/threshold": 0.5}
    (group,) = clips(thresholds, {"test": [row()]})
    (clip,) = group["clips"]
    speak, dst = clip["lanes"]
    assert (group["wrong"], group["frames"], clip["wrong"]) == (2, 4, 2)
    assert [(event["told"], event["where"], event["called"]) for event in speak["events"]] == [
        ("next, p 0.95", "frame 11, 5.5 s", True),
        ("end, p 0.1", "frame 20, 10.0 s", False),
    ]
    assert [(alarm["told"], alarm["where"]) for alarm in speak["alarms"]] == [
        ("false alarm, p 0.93", "frame 21, 10.5 s")
    ]
    assert [event["told"] for event in dst["events"]] == ["start, p 0.99"]
    assert dst["alarms"] == []
    points = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+),([\d.]+)", speak["path"])]
    assert points[1][0] == speak["events"][0]["x"]
    assert speak["top"] < points[1][1] < speak["threshold"] < points[0][1] < speak["bottom"]
    assert [picture["image"] for picture in clip["pictures"]] == [PIXEL]
    assert clip["pictures"][0]["x"] + 28 == speak["events"][0]["x"]


def test_the_worst_clips_come_first():
    wrong = [row(f"clip {number}", speak={"at": [], "p": [0.9] * number}) for number in (1, 3, 0, 2)]
    (group,) = clips({}, {"val": wrong})
    assert [(clip["id"], clip["wrong"]) for clip in group["clips"]] == [
        ("clip 3", 3),
        ("clip 2", 2),
        ("clip 1", 1),
        ("clip 0", 0),
    ]


def test_a_score_at_the_threshold_is_no_call():
    (group,) = clips({}, {"val": [row(speak={"at": [], "p": [0.5]}, dst={"at": [0], "p": [0.5]})]})
    (clip,) = group["clips"]
    assert clip["wrong"] == 1
    assert [event["called"] for event in clip["lanes"][1]["events"]] == [False]
    assert clip["lanes"][0]["alarms"] == []


def test_numbers_of_frames_without_any_told():
    assert [_number(row(), place) for place in range(4)] == [10, 11, 20, 21]
    assert [_number({}, place) for place in range(3)] == [0, 1, 2]


def test_older_predictions_have_a_timeline_too(page):
    kept = {key: value for key, value in row().items() if key in ("id", "frames", "speak", "dst")}
    html = page([kept])
    assert html.count('<div class="clip">') == 1
    assert "<image" not in html


# --- what others wrote


def test_foreign_words_are_text(page):
    html = page(
        [row(HOSTILE, events=[[1, f"speak/{HOSTILE}"]])],
        {**METRICS, f"test/speak/kind/{HOSTILE}/recall": 0.5},
        {"split": "test", "events": [{**EVENTS["events"][0], "kind": HOSTILE}]},
    )
    assert html.count("<script") == 1  # the page's own
    assert html.count("alert(1)") == html.count("script&gt;alert(1)&lt;/script&gt;") >= 4
    assert "evil.example" not in html


def test_damaged_clips_are_left_out_and_counted():
    damaged = [
        row(speak={"at": [9], "p": [0.1]}),
        row(dst={"at": [], "p": ["x"]}),
        row(dst={"at": [], "p": [float("nan")]}),
        row(dst=None),
        row(speak={"p": [0.1]}),
    ]
    notes: list[str] = []
    answer = {"id": "a", "label": "fire", "correct": True}
    answers, watched = parted({"test": [row("sound"), *damaged, answer]}, notes)
    assert answers == {"test": [answer]}
    assert [each["id"] for each in watched["test"]] == ["sound"]
    assert notes == ["predictions/test.jsonl: 5 clips are damaged and were left out."]
