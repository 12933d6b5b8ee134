"""A split of pairs as numbers: shares with intervals over pictures, and a row for each with both answers."""

from __future__ import annotations

import numpy as np
import pytest

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.data.dataset import Dataset
from prospect.evaluation.pairs import rates, score
from prospect.models import adapt
from prospect.models.reference import reference
from prospect.training.preferred import Reference


def pair(name: str, *pictures, chosen: str = "fire", rejected: str = "wood") -> Sample:
    asked = Turn("user", (*map(Picture, pictures), "what?"))
    return Sample(name, (asked, Turn("assistant", (chosen,))), {"rejected": rejected})


def test_pairs_of_one_picture_are_drawn_together():
    """Two pictures with 50 pairs each, all right for one and wrong for the other: a draw of both is 0, ½ or 1."""
    samples = [pair(str(n), b"one" if n < 50 else b"other") for n in range(100)]
    right = np.array([1.0] * 50 + [0.0] * 50)
    found = rates({"preference_accuracy": right}, samples)
    assert found == {"preference_accuracy": 0.5, "preference_accuracy_low": 0.0, "preference_accuracy_high": 1.0}
    alone = rates({"preference_accuracy": right}, [pair(str(n)) for n in range(100)])
    error = 1.96 * np.sqrt(0.25 / 100)
    assert alone["preference_accuracy_low"] == pytest.approx(0.5 - error, abs=0.03)
    assert alone["preference_accuracy_high"] == pytest.approx(0.5 + error, abs=0.03)


def test_scored_against_itself_and_against_nothing(vlm, picture):
    vlm = adapt.full(vlm)
    samples = [pair("a", picture), pair("b"), pair("c", picture, picture, chosen="wood", rejected="a gear")]
    data = Dataset("pairs", "preferences", {"train": [], "val": [], "test": samples})
    same = score(vlm, data, "test", reference=Reference(reference(vlm), 0.1))
    assert (same.metrics["preference_accuracy"], same.metrics["preference_margin"]) == (0.5, 0)
    assert same.metrics["preference_likelier"] == same.metrics["preference_likelier_before"]
    assert [row["before"] for row in same.predictions] == [row["prediction"] for row in same.predictions]
    assert [(row["label"], row["rejected"]) for row in same.predictions][2] == ("wood", "a gear")
    assert not any(row["correct"] for row in same.predictions)  # nothing is preferred
    alone = score(vlm, data, "test")
    assert alone.metrics.keys() == {
        *("samples", "preference_likelier", "preference_likelier_low", "preference_likelier_high")
    }
    assert alone.headline == ("preference_likelier",)
    assert [row["before"] for row in alone.predictions] == [None] * 3
    likelier = [row["correct"] for row in alone.predictions]
    assert sum(likelier) / 3 == pytest.approx(alone.metrics["preference_likelier"])
