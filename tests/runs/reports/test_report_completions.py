"""Claim: a report shows what a policy said from its first words to its last, whatever these words are."""

from __future__ import annotations

import json

from prospect.runs.folder import Run
from prospect.runs.reports.report import write_report
from prospect.runs.reports.report_completions import MOMENTS, SHOWN, moments


def row(step: int, prompt: str, text: str, reward: float | str) -> dict:
    return {
        "step": step,
        "prompt": prompt,
        "completion": text,
        "reward": reward,
        "rewards/exact": reward,
        "advantage": 0,
    }


def test_a_few_steps_from_the_first_to_the_last():
    rows = [row(step, f"q{step}", "a", 0.5) for step in range(10, 110, 10)]
    found = moments(rows)
    assert [each["step"] for each in found] == [10, 40, 70, 100]
    assert len(found) == MOMENTS
    assert moments(rows[:2])[1]["step"] == 20
    assert moments([]) == []


def test_of_a_step_the_first_prompt_and_the_best_of_its_completions():
    rows = [row(5, "first", f"text {number}", number / 10) for number in range(8)]
    (found,) = moments([row(5, "first", "failed", "NaN"), *rows, row(5, "second", "other", 1.0)])
    assert found["prompt"] == "first"
    assert [each["reward"] for each in found["said"]] == [0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
    assert found["more"] == 9 - SHOWN
    assert found["said"][0]["parts"] == {"exact": 0.7}


def test_what_was_said_is_text_and_never_markup(tmp_path):
    said = row(1, "<b>asked</b>", "<script>alert(1)</script>", 1.0)
    with Run.start(tmp_path / "run", {}, 0):
        (tmp_path / "run" / "completions.jsonl").write_text(json.dumps(said) + "\n{half a line")
        page = write_report(tmp_path / "run").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "&lt;b&gt;asked&lt;/b&gt;" in page
    assert "completions.jsonl: line 2" in page
