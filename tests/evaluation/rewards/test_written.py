"""One's own reward: every way of getting it wrong is one message before any model is loaded, and none a crash later."""

from __future__ import annotations

import hashlib
import logging

import pytest
from tests.evaluation.rewards.asked import prompts, questions

from prospect.conversation.tags import tagged
from prospect.errors import UserError
from prospect.evaluation.rewards import rewards

GOOD = """
def score(prompts, completions, answer, **columns):
    return [float(gold in text) for text, gold in zip(completions, answer)]
"""

BROKEN = {  # what the file holds, and what is said
    "no such function": ("def scored(prompts, completions, **columns): ...", r"no function score; it has scored"),
    "no function": ("score = 1.0", "has no function score"),
    "a class": ("class score:\n    pass", "has no function score"),
    "syntax": ("def score(:", "fails when imported: SyntaxError"),
    "missing module": ("import no_such_module_at_all", "fails when imported: ModuleNotFoundError"),
    "an exit": ("raise SystemExit(0)", "fails when imported: SystemExit"),
    "no columns": (
        "def score(prompts, completions): return [0.0] * len(completions)",
        r"is to be written def score\(prompts, completions, \*\*columns\).*unexpected keyword argument",
    ),
    "places only": ("def score(prompts, completions, /, **columns): return []", "is to be written def score"),
    "a column that is not there": (
        "def score(prompts, completions, solution, **columns): return [0.0] * len(completions)",
        "the data's columns question, answer, answers, by name.*missing a required argument: 'solution'",
    ),
    "async": ("async def score(prompts, completions, **columns): return []", "is async"),
    "one number for all": ("def score(prompts, completions, **columns): return 1.0", "gave a float, not a list"),
    "a generator": ("def score(prompts, completions, **columns): yield 1.0", "gave a generator, not a list"),
    "nothing": ("def score(prompts, completions, **columns): pass", "gave a NoneType, not a list"),
    "too few": ("def score(prompts, completions, **columns): return [1.0]", r"gave 1 numbers for \d+ completions"),
    "NaN": (
        "def score(prompts, completions, **columns): return [float('nan')] * len(completions)",
        "gave nan, no finite",
    ),
    "infinity": (
        "def score(prompts, completions, **columns): return [1e999] * len(completions)",
        "gave inf, no finite",
    ),
    "texts": (
        "def score(prompts, completions, **columns): return ['1'] * len(completions)",
        "gave '1', no finite number",
    ),
    "too large for TRL": ("def score(completions, **columns): return [10**400] * len(completions)", "no finite number"),
    "an exit when called": (
        "import sys\ndef score(completions, **columns): sys.exit(0)",
        r"failed: SystemExit: 0 \(line 2\)",
    ),
    "fails on junk": (
        "def score(prompts, completions, **columns):\n"
        "    return [float(len(text.split('<answer>')[1])) for text in completions]",
        r"failed: IndexError: list index out of range \(line 2\)",
    ),
    "not finite on junk": (
        "def score(prompts, completions, **columns):\n"
        "    return [len(text) and 1.0 or float('inf') for text in completions]",
        "gave inf, no finite number, for ''",
    ),
}


def own(tmp_path, code, function="score", weight=1.0):
    file = tmp_path / "mine.py"
    file.write_text(code)
    return rewards({f"{file}:{function}": weight})


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_file_is_one_message(broken, tmp_path):
    code, told = BROKEN[broken]
    with pytest.raises(UserError, match=told) as caught:
        own(tmp_path, code).check(questions())
    assert "trainer.rewards.weights" in str(caught.value)
    assert "mine.py" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("written", ["mine.py", "mine.txt:score", "no/such/file.py:score", ":score"])
def test_what_names_no_function(written):
    with pytest.raises(UserError, match=r"trainer.rewards.weights=.*(write FILE.py:FUNCTION|there is no file)"):
        rewards({written: 1.0})


def test_a_good_one(tmp_path, caplog):
    found = own(tmp_path, GOOD, weight=0.5)
    with caplog.at_level(logging.INFO):
        found.check(questions())
    assert [function.__name__ for function in found.functions] == ["mine.score"]
    assert found.weights == [0.5]
    sha256 = hashlib.sha256((tmp_path / "mine.py").read_bytes()).hexdigest()
    assert found.facts()["files"] == {f"{tmp_path / 'mine.py'}:score": sha256}
    assert "reward mine.score: gold answers get 1 on average, junk 0" in caplog.text


def test_what_it_is_given(tmp_path):
    code = """
def score(prompts, completions, completion_ids, trainer_state, log_extra, log_metric, question, **columns):
    assert prompts == question, prompts
    assert sorted(columns) == ["answer", "answers", "images", "sample_id"], columns
    assert [picture.size for pictures in columns["images"] for picture in pictures] == [(2, 3)] * len(prompts)
    assert len(completion_ids) == len(completions)
    log_metric("seen", trainer_state.global_step)
    return [None if not text else 1 for text in completions]
"""
    own(tmp_path, code).check(questions())


def test_it_cannot_change_the_batch(tmp_path):
    code = """
def score(prompts, completions, **columns):
    scores = [1.0] * len(completions)
    completions.clear(), prompts.clear(), columns["answer"].clear()
    return scores
"""
    (function,) = own(tmp_path, code).functions
    texts, answers = [tagged("2")] * 2, ["2"] * 2
    assert function(prompts=["?"] * 2, completions=texts, answer=answers) == [1, 1]
    assert (texts, answers) == ([tagged("2")] * 2, ["2"] * 2)


def test_none_is_kept_and_numbers_become_floats(tmp_path):
    code = "import numpy\ndef score(completions, **columns): return (None, numpy.float32(0.5), 1, True)"
    (function,) = own(tmp_path, code).functions
    assert function(prompts=["?"] * 4, completions=[""] * 4) == [None, 0.5, 1.0, 1.0]


def test_one_that_tells_nothing_apart_is_said(tmp_path, caplog):
    code = "def score(completions, **columns): return [0.3] * len(completions)"
    own(tmp_path, code).check(questions())
    assert "gold answers get 0.3 on average, junk 0.3" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        own(tmp_path, code).check(prompts({"topic": "discs"}))
        own(tmp_path, code).check(prompts({"answer": {"boxes": [1, 2]}}))
    assert caplog.text.count("only its author knows what is right; junk gets 0.3 on average") == 2


def test_a_file_with_a_dataclass(tmp_path):
    first = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    own(tmp_path, f"{first}@dataclass\nclass A:\n    n: int\n{GOOD}").check(questions())
