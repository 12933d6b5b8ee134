"""What the report shows of clips watched freely: every number is one that the run left, foreign words are text."""

from __future__ import annotations

import copy
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.runs.folder import Run
from prospect.runs.reports.report import write_report
from prospect.runs.reports.report_watched import MEASURES, groups, headlines, is_whole, others

HOSTILE = "</script><script>alert(1)</script>{{ 7 * 7 }}"
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def numbers(split: str, first: float) -> dict[str, float]:
    """No two values are the same, so that each can be told from the others."""
    keys = [
        key
        for measure in MEASURES
        for key in (measure.key, f"{measure.key}_low", f"{measure.key}_high", measure.silence, *dict(measure.beside))
        if key
    ]
    keys += ["dialogue/bleu_4", "dst/timing/median", "stream/dst/f1", "silent/dst/step_accuracy"]
    found = {f"{split}/{key}": round(first + place / 1000, 4) for place, key in enumerate(keys)}
    return found | {f"{split}/watched/clips": 41, f"{split}/watched/frames": 4023}


METRICS = {**numbers("test", 0.3001), **numbers("val", 0.6001), "test/dst/exact": 0.9123, "test/loss": 0.0456}


def row(name: str = "clip", **more) -> dict:
    return {
        "id": name,
        "first": 10,
        "fps": 2.0,
        "settings": {"speak_threshold": 0.5, "dst_threshold": 0.25},
        "p_speak": [0.1, 0.9, 0.1, 0.2, 0.95, 0.1],
        "p_dst": [0, 1, 0.0, 0.0, 0.5, 0.0],
        "updates": [[11, "S1->start", [["S1", "start"]]]],
        "pairs": [[11, "Take the disc.", 11, "Take the disc.", 1.0, True]],
        "missed": [[13, "Good."]],
        "redundant": [[14, "Stop it."]],
        "asked": [[12, "What now?"]],
        "happened": [[11, "S1", "start"], [15, "S1", "complete"]],
        "start": {"S1": "not_started", "S2": "not_started"},
        "steps": [["S1", "Attach the disc"], ["S2", "Attach the bar"]],
        "wrong": 3,
        "thumbnails": [{"at": 1, "image": PIXEL}, {"at": 3, "image": "http://evil.example/x.png"}],
        **more,
    }


@pytest.fixture
def page(tmp_path):
    def written(rows, metrics=METRICS) -> str:
        with Run.start(folder := tmp_path / f"run {len(list(tmp_path.iterdir()))}", {}, 0) as run:
            run.write_json("metrics.json", metrics)
            if rows is not None:
                run.write_text("predictions/test.watched.jsonl", "".join(json.dumps(each) + "\n" for each in rows))
        return write_report(folder).read_text()

    return written


def test_every_number_is_shown(page):
    html = page([row()])
    for key, value in METRICS.items():
        if not key.endswith(("clips", "frames")):
            large_too = key == "test/dst/exact"  # a headline of decisions with the truth given
            assert len(re.findall(rf"\b{value:.4f}\b", html)) == 1 + large_too, key
    assert "test 41" in html
    assert "val 4,023" in html


def test_headlines_are_what_metrics_say():
    found = {each["name"]: each["values"] for each in headlines(METRICS)}
    assert list(found) == ["joint goal accuracy", "transition F1", "speak F1", "dialogue F1", "names right"]
    for measure in MEASURES:
        for split, value in zip(("test", "val"), found[measure.name], strict=True):
            assert value["split"] == split
            assert value["value"] == METRICS[f"{split}/{measure.key}"]
            assert (value["low"], value["high"]) == tuple(
                METRICS[f"{split}/{measure.key}_{e}"] for e in ("low", "high")
            )
            assert value["beside"] == [(name, METRICS[f"{split}/{key}"]) for key, name in measure.beside]
    test, _ = found["joint goal accuracy"]
    assert test["silence"] == METRICS["test/silent/dst/joint_goal_accuracy"]
    assert found["speak F1"][0]["silence"] is None
    assert headlines({"test/dst/transition_f1": 1.0}) == []  # nothing was watched


def test_other_numbers_are_folded_and_decisions_with_the_truth_given_are_not_among_them():
    rows = others(METRICS)["rows"]
    assert rows["dialogue/bleu_4"] == {split: METRICS[f"{split}/dialogue/bleu_4"] for split in ("test", "val")}
    assert "dst/exact" not in rows
    assert "dialogue/f1" not in rows


def test_a_clip_is_drawn_and_listed(page):
    html = page([row()])
    assert html.count('<div class="clip">') == 1
    for words in ("3 mistakes in 41 clips, 6 frames", "Take the disc.", "Good.", "Stop it.", "What now?"):
        assert words in html
    assert html.count("<image") == 1
    assert html.index("Watched freely") < html.index("dst/exact")


def test_decisions_with_the_truth_given_stand_below_and_are_said_to_be(page):
    html = page([row()], METRICS | {"test/speak/threshold": 0.4321})
    places = [html.index(words) for words in ("Watched freely", "With the truth given", ">0.4321<")]
    assert places == sorted(places)
    assert "With the truth given" not in page(None, {"test/speak/threshold": 0.4321})


def test_what_was_not_watched_has_no_section(page):
    html = page(None, {"test/dst/exact": 0.9123, "test/dst/transition_f1": 0.4321})
    assert "Watched freely" not in html
    assert ".freely" not in html
    assert html.count("0.4321") == 2  # large, and in the table


def test_the_worst_clips_come_first_and_those_with_pictures_are_shown():
    rows = [row(f"clip {wrong}", wrong=wrong) for wrong in (1, 3, 0, 2)]
    (group,) = groups({}, {"val": rows}, [])
    assert [clip["id"] for clip in group["clips"]] == ["clip 3", "clip 2", "clip 1", "clip 0"]
    assert (group["wrong"], group["total"], group["frames"]) == (6, 4, 24)
    (group,) = groups({}, {"val": [*rows, row("bare", wrong=9, thumbnails=None)]}, [])
    assert [clip["id"] for clip in group["clips"]] == ["clip 3", "clip 2", "clip 1", "clip 0"]
    assert group["wrong"] == 15


def test_foreign_words_are_text(page):
    html = page(
        [
            row(
                HOSTILE,
                pairs=[[11, HOSTILE, 11, f"{HOSTILE}!", 1.0, False]],
                missed=[[13, HOSTILE]],
                redundant=[[14, HOSTILE]],
                asked=[[12, HOSTILE]],
                updates=[[12, HOSTILE, []], [13, "", [["S1", HOSTILE]]], [11, "", [[HOSTILE, "start"]]]],
                start={"S1": HOSTILE, HOSTILE: '" onload="alert(1)'},
                steps=[["S1", HOSTILE]],
                thumbnails=[{"at": 1, "image": f'{PIXEL}" onload="alert(1)'}],
            )
        ],
        {**METRICS, f"test/dialogue/{HOSTILE}": 0.5},
    )
    assert html.count("<script") == 1  # the page's own
    assert "script&gt;alert(1)&lt;/script&gt;" in html
    assert ' onload="' not in html
    assert "{{ 7 * 7 }}" in html
    assert "src=" not in html.replace('src="data:', "")
    assert not re.findall(r"""(?:href|src)="(?!data:)|url\((?!#)|@import""", html)


CUT: list[tuple[str, object]] = [
    *(("id", 3), ("first", 1.5), ("fps", 0), ("fps", float("nan")), ("wrong", True), ("wrong", -1)),
    *(("p_speak", []), ("p_speak", [0.1]), ("p_dst", ["x"] * 6), ("p_dst", [float("inf")] * 6)),
    *(("updates", [[11, "S1->start"]]), ("updates", [[11, None, []]]), ("pairs", [[1, "a", 2, "b", 0.5]])),
    *(("missed", [[1]]), ("redundant", "x"), ("happened", [["1", "S1", "start"]]), ("asked", [[1, 2]])),
    *(("start", None), ("start", {"S1": 1}), ("steps", {"S1": "x"}), ("settings", {}), ("thumbnails", "x")),
]


@pytest.mark.parametrize(("name", "value"), CUT)
def test_damaged_clips_are_left_out_and_counted(name, value):
    notes: list[str] = []
    (group,) = groups({}, {"test": [row("sound"), row(**{name: value})]}, notes)
    assert [clip["id"] for clip in group["clips"]] == ["sound"]
    assert notes == ["predictions/test.watched.jsonl: 1 clips are damaged and were left out."]


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 30) | st.floats() | st.text(max_size=3),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.sampled_from(["S1", "at", "image"]), each, max_size=2),
)


@given(st.sampled_from(sorted(row())), junk)
def test_whatever_stands_in_a_file_the_rest_is_drawn(name, value):
    broken = copy.deepcopy(row()) | {name: value}
    notes: list[str] = []
    found = groups({}, {"test": [broken]}, notes)
    assert bool(found) == is_whole(broken) != bool(notes)


def test_a_clip_without_steps_is_drawn(page):
    html = page([row(start={}, steps=[], happened=[], updates=[])])
    assert html.count('<div class="clip">') == 1


# --- what a judge said


def test_a_judge_has_a_line_and_each_clip_its_verdict(page):
    scores = {"overall": 4, "correctness": 2, "promptness": 3, "efficiency": 5}
    means = {"overall": 3.1234, "overall_low": 2.1234, "overall_high": 4.1234, "judged": 7, "failed": 2}
    rows = [
        row("sound", judge={"model": HOSTILE, "scores": scores, "failure": ""}),
        row("failed", judge={"model": HOSTILE, "scores": None, "failure": HOSTILE}),
        row("damaged", judge={"model": "m", "scores": {"overall": HOSTILE}}),
        row("other", judge=HOSTILE),
    ]
    html = page(rows, METRICS | {f"test/judge/{name}": value for name, value in means.items()})
    line = re.search(r'<p class="judged">.*?</p>', html, re.DOTALL)
    assert line is not None
    assert "overall <strong>3.1234</strong> [2.1234, 4.1234]" in line.group()
    assert "7 clips judged" in line.group()
    assert '<span class="NaN">2 failed</span>' in line.group()
    assert html.count("judge: overall 4, correctness 2, promptness 3, efficiency 5") == 1
    assert html.count("judge: failed") == 1
    assert html.count("<script") == 1  # the page's own
    assert '<p class="judged">' not in page([row()])


def test_a_judge_that_failed_at_everything_has_no_means(page):
    html = page([row(judge={"model": "m", "scores": None})], METRICS | {"test/judge/judged": 0, "test/judge/failed": 9})
    assert "0 clips judged" in html
    assert "9 failed" in html
    assert "overall <strong>" not in html
