from __future__ import annotations

import json

from prospect.runs.folder import Run
from prospect.runs.reports.report import write_report
from prospect.runs.reports.report_pairs import parted, tables

PICTURE = "data:image/png;base64,AAAA"
PAIR = {
    "id": "a",
    "question": "what <b>is</b> it?",
    "label": "fire",
    "rejected": "wood",
    "before": "wood ",
    "prediction": "fire",
    "correct": True,
    "margin": 0.25,
    "image": PICTURE,
}


def test_pairs_are_told_from_single_answers_and_wrong_ones_come_first():
    wrong = PAIR | {"id": "b", "correct": False, "prediction": "neither", "image": "http://elsewhere/x.png"}
    single, pairs = parted({"test": [PAIR, wrong, {"id": "c", "label": "fire"}], "val": [{"id": "d"}]})
    assert ({split: [row["id"] for row in rows] for split, rows in single.items()}) == {"test": ["c"], "val": ["d"]}
    (table,) = tables(pairs)
    assert (table["split"], table["total"], table["wrong"], table["has_before"]) == ("test", 2, 1, True)
    first, second = table["rows"]
    assert (first["id"], first["image"], first["prediction_is"]) == ("b", None, "")
    assert (second["image"], second["before_is"], second["prediction_is"]) == (PICTURE, "other", "chosen")


def test_the_page_shows_both_answers_before_and_after(tmp_path):
    with Run.start(tmp_path / "run", {}, seed=0) as run:
        run.write_text("predictions/test.jsonl", json.dumps(PAIR) + "\n")
        run.write_json("metrics.json", {"test/preference_accuracy": 1.0})
    page = write_report(tmp_path / "run").read_text()
    assert "0 of 1 pairs are preferred the wrong way round" in page
    assert "<th>says before training</th><th>says after it</th>" in page
    assert '<td class="other">wood </td><td class="chosen">fire</td>' in page
    assert "what &lt;b&gt;is&lt;/b&gt; it?" in page
    assert "Answers, test" not in page


def test_without_a_reference_there_is_no_before(tmp_path):
    with Run.start(tmp_path / "run", {}, seed=0) as run:
        run.write_text("predictions/test.jsonl", json.dumps(PAIR | {"before": None, "margin": None}) + "\n")
    page = write_report(tmp_path / "run").read_text()
    assert "before training" not in page
    assert "<th>says</th>" in page
