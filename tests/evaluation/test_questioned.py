"""A split of questions: an oracle gets everything, garbage nothing, and one of several right answers is enough."""

from __future__ import annotations

import pytest

from prospect.conversation.tags import tagged
from prospect.data.path_vqa.demo import path_vqa_demo
from prospect.evaluation import questioned
from prospect.evaluation.questioned import progress, score
from prospect.models.tiny import tiny

SMALL = {"train": 4, "val": 3, "test": 12}


@pytest.fixture(scope="module")
def vlm():
    return tiny()


@pytest.fixture(scope="module")
def data():
    return path_vqa_demo(**SMALL)


def answering(monkeypatch, say):
    budgets = []

    def answers(vlm, asked, batch_size, tokens):
        budgets.append(tokens)
        return [say(sample) for sample in asked]

    monkeypatch.setattr(questioned, "answers", answers)
    return budgets


def test_an_oracle(monkeypatch, vlm, data):
    budgets = answering(monkeypatch, lambda sample: sample.turns[-1].text)
    scored = score(vlm, data, "test")
    assert scored.headline == ("accuracy", "yes_no/accuracy", "open/normalised", "format")
    rates = {name: value for name, value in scored.metrics.items() if "samples" not in name and name != "pictures"}
    assert {name for name, value in rates.items() if value != 1} == {
        *("unparsable", "unparsable_low", "unparsable_high")
    }
    assert scored.metrics["pictures"] == 12
    assert scored.metrics["samples"] == scored.metrics["open/samples"] + scored.metrics["yes_no/samples"]
    assert budgets == [data.answer_tokens]
    assert all(row["correct"] and row["image"].startswith("data:image/") for row in scored.predictions)
    assert progress(vlm, data, "val") == dict.fromkeys(scored.headline, 1.0)


def test_any_of_several_right_answers(monkeypatch, vlm, data):
    answering(monkeypatch, lambda sample: tagged(sample.meta["columns"]["answers"][-1]))
    scored = score(vlm, data, "test")
    assert scored.metrics["accuracy"] == scored.metrics["open/exact"] == scored.metrics["open/token_f1"] == 1
    several = [row for row in scored.predictions if " | " in row["label"]]
    assert several
    assert any(row["prediction"] != row["label"].split(" | ")[0] for row in several)


def test_the_right_word_without_tags_is_wrong_in_the_format_think_alone(monkeypatch, vlm, data):
    answering(monkeypatch, lambda sample: sample.meta["columns"]["answer"])
    scored = score(vlm, data, "test")
    assert (scored.metrics["accuracy"], scored.metrics["unparsable"], scored.metrics["format"]) == (0, 1, 0)
    assert {row["prediction"] for row in scored.predictions} == {None}
    plain = score(vlm, path_vqa_demo(**SMALL, answer_format="plain"), "test")
    assert (plain.metrics["accuracy"], plain.metrics["unparsable"]) == (1, 0)
    assert "format" not in plain.metrics


def test_what_rows_add_is_the_headline(monkeypatch, vlm, data):
    answering(monkeypatch, lambda sample: tagged("yes"))
    scored = score(vlm, data, "test")
    assert 0 < scored.metrics["yes_no/accuracy"] < 1
    for name in ("accuracy", "yes_no/accuracy", "open/normalised"):
        shares = [row["shares"][name] for row in scored.predictions if name in row["shares"]]
        assert scored.metrics[name] == pytest.approx(sum(up for up, _ in shares) / sum(of for _, of in shares))
        assert scored.metrics[f"{name}_low"] <= scored.metrics[name] <= scored.metrics[f"{name}_high"]


def test_a_split_without_yes_or_no_has_no_such_rate(monkeypatch, vlm, data):
    answering(monkeypatch, lambda sample: tagged("red"))
    data.splits["open"] = [sample for sample in data.splits["test"] if sample.turns[-1].kind == "open"]
    scored = score(vlm, data, "open")
    assert scored.headline == ("accuracy", "open/normalised", "format")
    assert not [name for name in scored.metrics if name.startswith("yes_no/") and name != "yes_no/samples"]


def test_a_fresh_model_says_something_and_is_wrong(vlm, data):
    scored = score(vlm, data, "val", batch_size=8)
    assert (scored.metrics["accuracy"], scored.metrics["format"]) == (0, 0)
