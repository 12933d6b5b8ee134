"""The built-in slides: the same everywhere, in need of the picture, in words that a tiny model has."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from random import Random

import numpy as np
import pytest

from prospect.data.path_vqa.demo import path_vqa_demo
from prospect.data.path_vqa.pictures import CELLS, NUMBERS, SIDES, STAINS, Slide, drawn, slide
from prospect.errors import UserError
from prospect.models.words import small_tokenizer

SMALL = {"train": 30, "val": 5, "test": 10}


@pytest.fixture(scope="module")
def data():
    return path_vqa_demo(**SMALL)


def columns(data, split="train"):
    return [sample.meta["columns"] for sample in data.splits[split]]


def test_it_is_path_vqa_of_the_sizes_asked_for(data):
    assert (data.name, data.task, data.answer_format) == ("path_vqa_demo", "questions", "think")
    shown = {name: {sample.pictures[0].source for sample in samples} for name, samples in data.splits.items()}
    assert {name: len(pictures) for name, pictures in shown.items()} == SMALL
    assert data.findings == []
    assert len(data.splits["train"]) == len(path_vqa_demo(**SMALL, answer_format="plain").splits["train"])


def test_every_machine_draws_the_same(data, tmp_path):
    """A changed figure means a changed generator: raise GENERATOR, or old caches would be taken for new data."""
    assert data.fingerprint == path_vqa_demo(folder=str(tmp_path / "again"), **SMALL).fingerprint
    pixels = b"".join(sample.pictures[0].open().tobytes() for sample in data.splits["train"])
    assert hashlib.sha256(pixels).hexdigest()[:16] == "74f33044219b2460"
    assert data.fingerprint[:16] == "688dd448dd330614"


def test_two_colours_are_two_right_answers(data):
    asked = [each for each in columns(data) if each["question"] == "What colour is a cell?"]
    assert {len(each["answers"]) for each in asked} == {1, 2}
    assert all(set(each["answers"]) <= CELLS.keys() for each in asked)


def test_answers_are_single_tokens_of_a_tiny_model(data):
    tokenizer = small_tokenizer()
    said = {*CELLS, *STAINS, *NUMBERS.values(), *SIDES, "yes", "no"}
    assert {each["answer"] for each in columns(data)} <= said
    assert [word for word in said if len(tokenizer(f">{word}<").input_ids) != 3] == []
    assert max(len(tokenizer(sample.turns[0].text).input_ids) for sample in data.splits["train"]) < 32


def test_whoever_does_not_look_is_right_one_time_in_three():
    """The best answer to each question, learnt from the train split, given to every picture of the test split."""
    data = path_vqa_demo(train=400, val=0, test=200)
    seen = defaultdict(Counter)
    for each in columns(data):
        seen[each["question"]].update(each["answers"])
    best = {question: counts.most_common(1)[0][0] for question, counts in seen.items()}
    hits = [best[each["question"]] in each["answers"] for each in columns(data, "test")]
    assert 0.28 < np.mean(hits) < 0.42


def test_every_thing_that_is_asked_for_changes_pixels():
    plain = Slide("pink", {0: "red"}, False, None)
    others = [
        Slide("cyan", {0: "red"}, False, None),
        Slide("pink", {0: "blue"}, False, None),
        Slide("pink", {0: "red", 3: "red"}, False, None),
        Slide("pink", {0: "red"}, True, None),
        *(Slide("pink", {0: "red"}, False, side) for side in SIDES),
    ]
    for size in (32, 64, 100):
        pictures = [drawn(each, Random(0), size) for each in (plain, *others)]
        assert {picture.shape for picture in pictures} == {(size, size, 3)}
        changed = [(np.abs(picture.astype(int) - pictures[0]).max(axis=2) > 40).mean() for picture in pictures[1:]]
        assert min(changed) > 0.002


def test_a_vessel_lies_along_its_side_and_leaves_the_cells_alone():
    for side, part in {"left": np.s_[:, :6], "right": np.s_[:, -6:], "top": np.s_[:6], "bottom": np.s_[-6:]}.items():
        with_, without = (drawn(Slide("cyan", {}, False, vessel), Random(0), 64) for vessel in (side, None))
        differs = np.abs(with_.astype(int) - without).max(axis=2) > 40
        assert differs[part].mean() > 0.9
        assert not differs[16:48, 16:48].any()


def test_slides_have_all_there_is():
    slides = [slide(Random(n)) for n in range(2000)]
    for values, kinds in (
        ([s.stain for s in slides], 4),
        ([s.count for s in slides], 3),
        ([s.vessel for s in slides], 5),
    ):
        counts = Counter(values)
        assert len(counts) == kinds
        assert min(counts.values()) > 200
    assert 900 < sum(s.nucleus for s in slides) < 1100
    assert 900 < sum(s.vessel is None for s in slides) < 1100


@pytest.mark.parametrize("change", [{"seed": 1}, {"size": 48}, {"train": 20}, {"answer_format": "plain"}])
def test_other_settings_give_other_data(data, change):
    assert path_vqa_demo(**SMALL | change).fingerprint != data.fingerprint


@pytest.mark.parametrize(("key", "value"), [("train", 0), ("test", -1), ("size", 31)])
def test_settings_that_cannot_be_drawn(key, value):
    with pytest.raises(UserError, match=f"data.{key}={value}"):
        path_vqa_demo(**SMALL | {key: value})


def test_an_unknown_answer_format():
    with pytest.raises(UserError, match=r"data\.answer_format=prose: accepted are think, plain"):
        path_vqa_demo(**SMALL, answer_format="prose")
