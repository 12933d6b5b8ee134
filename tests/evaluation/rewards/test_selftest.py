"""Data that a reward cannot read, and rewards that cannot tell right from wrong, are told before a model is loaded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.evaluation.rewards.asked import prompts, questions

from prospect.errors import UserError
from prospect.evaluation.rewards import rewards

MIXED = {"format": 0.2, "normalised": 1.0}

BROKEN = {  # the weights, the columns of each row, and what is said
    "no answers": (MIXED, [{"solution": "2"}], r"no column answer or answers \(they have solution\)"),
    "no columns": (MIXED, [{}], r"no column answer or answers \(they have none\)"),
    "an empty answer": (MIXED, [{"answer": "2"}, {"answer": " "}], "sample row 1 has none"),
    "no answer": ({"token_f1": 1.0}, [{"answer": None}], "sample row 0 has none"),
    "an empty list": (MIXED, [{"answers": ["2"]}, {"answers": ["", None]}], "sample row 1 has none"),
    "an object": (MIXED, [{"answer": {"text": "2"}}], "in sample row 0 an answer is a text.*not a dict"),
    "a truth value": (MIXED, [{"answer": True}], "in sample row 0 an answer is a text.*not a bool"),
    "a number that is a word": ({"number": 1.0}, [{"answer": "2"}, {"answer": "two"}], "row 1.*'two' holds no number"),
    "several numbers": ({"number": 1.0}, [{"answer": "2 or 3"}], "'2 or 3' holds no number, or several"),
    "no letter": ({"choice": 1.0}, [{"answer": "red disc"}], "'red disc' is no single letter"),
    "none of the choices": ({"choice": 1.0}, [{"answer": "red", "choices": ["blue"]}], "none of the column choices"),
    "beyond the choices": ({"choice": 1.0}, [{"answer": "C", "choices": ["x", "y"]}], "'C' is no single letter"),
    "choices in one text": (
        {"choice": 1.0},
        [{"answer": "A", "choices": "x, y"}],
        "of sample row 0 is no list of texts",
    ),
    "a tag in the answer": (MIXED, [{"answer": "</answer>"}], "row 0: its gold answer '</answer>' cannot stand"),
    "longer than allowed": (
        {"length": 1.0, "exact": 1.0},
        [{"answer": "x" * 600}],
        "than trainer.rewards.longest allows",
    ),
    "never at once": ({"number": 1.0, "choice": 1.0}, [{"answers": ["2", "B"]}], "no gold answer of sample row 0"),
    "a column of some": (
        MIXED,
        [{"answer": "2"}, {"answer": "2", "why": "so"}],
        "column why is in one of .* row 0 and",
    ),
    "a name of TRL's": (MIXED, [{"answer": "2", "prompts": "x"}], "rewards are given prompts already"),
    "nothing but length": ({"length": 1.0}, [{"answer": "2"}], "length would give all they have to"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_data_are_one_message(broken):
    weights, cells, told = BROKEN[broken]
    with pytest.raises(UserError, match=told) as caught:
        rewards(weights).check(prompts(*cells))
    assert str(caught.value).startswith("trainer.rewards")
    assert "\n" not in str(caught.value)


def test_a_mistake_in_held_out_data_is_seen():
    data = questions()
    row = data.splits["val"][0]
    bad = replace(row, meta={"columns": row.meta["columns"] | {"answer": "", "answers": []}})
    with pytest.raises(UserError, match="row 2"):
        rewards(MIXED).check(replace(data, splits={**data.splits, "val": [bad]}))


@pytest.mark.parametrize(
    ("weights", "rows"),
    [
        ({"format": 0.2, "normalised": 1.0, "exact": 0.0, "token_f1": 0.5, "length": 0.1}, [("?", "yes")]),
        ({"number": 1.0, "format": 1.0}, [("?", "2"), ("?", "1,000 cells")]),
        ({"choice": 1.0}, [("?", "A"), ("?", "(b)")]),
        ({"format": 1.0}, [("?", "yes")]),
        ({"format": 1.0, "length": 1.0}, [("?", "yes")]),
    ],
)
def test_good_data_pass(weights, rows):
    rewards(weights).check(questions([*rows, ("?", rows[0][1])]))


def test_form_alone_needs_no_answers():
    rewards({"format": 1.0}).check(prompts({"topic": "discs"}))
    rewards({"format": 1.0}).check(prompts({}))


def test_one_readable_answer_of_a_row_is_enough():
    rewards({"number": 1.0, "format": 0.2}).check(prompts({"answer": "two", "answers": ["two", "2"]}))


def test_the_format_of_the_answers_must_be_that_of_the_data():
    rewards({"exact": 1.0}, answer_format="plain").check(questions(written=str))
    with pytest.raises(UserError, match="answer_format=think, and the answer of sample row 0 is written plain"):
        rewards(MIXED).check(questions(written=str))
    with pytest.raises(UserError, match="answer_format=plain, and the answer of sample row 0 is written think"):
        rewards({"exact": 1.0}, answer_format="plain").check(questions())


def test_what_has_no_prompts():
    for data, told in ((prompts({}, task="answers"), "of the task answers"), (prompts(), "nothing to train on")):
        with pytest.raises(UserError, match=told):
            rewards(MIXED).check(data)


@pytest.mark.parametrize(
    ("weights", "settings", "told"),
    [
        ({}, {}, "no reward weighs anything"),
        ({"exact": 0.0}, {}, "no reward weighs anything"),
        ({"exacct": 1.0}, {}, "there is no reward exacct; there are exact, normalised"),
        ({"exact": float("nan")}, {}, "the weight nan of exact"),
        ({"exact": -1.0}, {}, "exact weighs -1"),
        ({"format": 1.0}, {"answer_format": "plain"}, "format asks for tags"),
        ({"length": 1.0}, {"longest": 0}, "longest=0 must be at least 1"),
    ],
)
def test_settings_that_cannot_be(weights, settings, told):
    with pytest.raises(UserError, match=told):
        rewards(weights, **settings)


def test_two_of_one_name(tmp_path):
    files = [tmp_path / name / "mine.py" for name in ("a", "b")]
    for file in files:
        file.parent.mkdir()
        file.write_text("def score(prompts, completions, **columns): return []")
    with pytest.raises(UserError, match=r"two rewards would be logged as mine\.score"):
        rewards({f"{file}:score": 1.0 for file in files})


def test_what_a_run_records():
    assert rewards(MIXED).facts() == {"weights": MIXED, "answer_format": "think"}
