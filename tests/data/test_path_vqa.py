"""Questions about pictures from every kind of source: what is learnt, what is right, the splits, and what is found."""

from __future__ import annotations

import json

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import Table, parquet
from tests.data.chat_rows import lines, picture, png

from prospect.conversation.tags import answer_of, well_formed
from prospect.data.chats import hub as chats_hub
from prospect.data.path_vqa.dataset import path_vqa
from prospect.data.splits import SPLITS
from prospect.errors import UserError

ALL = {"val_share": 0, "test_share": 0}


def row(shade: int, question: str = "what is it?", answer="fire", **more):
    return {"image": {"bytes": png(shade), "path": None}, "question": question, "answer": answer, **more}


def table(file, rows):
    file.parent.mkdir(exist_ok=True, parents=True)
    parquet.write_table(Table.from_pylist(rows), file)
    return str(file.parent)


def columns(data, split="train"):
    return [sample.meta["columns"] for sample in data.splits[split]]


def test_a_row_is_a_question_before_its_picture_and_an_answer_between_tags(tmp_path):
    path = table(tmp_path / "train.parquet", [row(1, "is it hot?", "yes", case=None), row(2, answer="a fire", case=7)])
    data = path_vqa(path, **ALL)
    closed, free = data.splits["train"]
    assert data.task == "questions"
    assert [turn.role for turn in closed.turns] == ["user", "assistant"]
    assert closed.turns[0].text.startswith("is it hot?\nReply with <think>")
    assert closed.pictures[0].open().getpixel((0, 0)) == (1, 3, 7)
    assert [answer_of(sample.turns[-1].text) for sample in (closed, free)] == ["yes", "a fire"]
    assert all(well_formed(sample.turns[-1].text) for sample in (closed, free))
    assert [sample.turns[-1].kind for sample in (closed, free)] == ["yes_no", "open"]
    assert free.meta["columns"] == {"question": "what is it?", "answer": "a fire", "answers": ["a fire"], "case": 7}
    assert closed.meta["columns"]["case"] is None  # every sample has all columns of a table
    assert data.facts()["questions"]["train"] == {"yes_no": 1, "open": 1, "several_answers": 0}


def test_plain_answers_and_one_s_own_words(tmp_path):
    path = table(tmp_path / "train.parquet", [row(1)])
    (sample,) = path_vqa(path, answer_format="plain", instruction="", system="Be short.", **ALL).splits["train"]
    assert [turn.text for turn in sample.turns] == ["Be short.", "what is it?", "fire"]
    (sample,) = path_vqa(path, answer_format="plain", instruction="One word.", **ALL).splits["train"]
    assert sample.turns[0].text == "what is it?\nOne word."


def test_reasoning_from_a_column(tmp_path):
    path = table(tmp_path / "train.parquet", [row(1, why="It glows.")])
    (sample,) = path_vqa(path, reason="why", **ALL).splits["train"]
    assert sample.turns[-1].text == "<think>It glows.</think><answer>fire</answer>"
    with pytest.raises(UserError, match="missing-reason: 1"):
        path_vqa(path, reason="because", **ALL)


def test_every_answer_of_a_question_and_picture_is_right(tmp_path):
    rows = [
        row(1, "What  is it?", "fire"),
        row(1, "what is it?", "flames"),
        row(1, "what is hot?", "wood"),
        row(2, "what is it?", "smoke"),
        row(3, "what is it?", ["ash", "cinders"]),
        row(3, "what is it?", ["dust"]),
    ]
    lines(
        tmp_path / "train.jsonl",
        [each | {"image": picture(tmp_path, n)} for each, n in zip(rows, (1, 1, 1, 2, 3, 3), strict=True)],
    )
    data = path_vqa(str(tmp_path), **ALL)
    sets = [["fire", "flames"], ["flames", "fire"], ["wood"], ["smoke"], ["ash", "cinders", "dust"]]
    assert [each["answers"] for each in columns(data)] == [*sets, ["dust", "ash", "cinders"]]
    assert columns(data)[4]["answer"] == "ash"
    assert data.facts()["questions"]["train"]["several_answers"] == 4


def test_a_question_answered_yes_and_no_is_told(tmp_path):
    data = path_vqa(table(tmp_path / "train.parquet", [row(1, answer="yes"), row(1, answer="No.")]), **ALL)
    assert [finding.kind for finding in data.findings if finding.split == "train"] == ["contradiction"]


def test_question_json_beside_a_folder_of_pictures(tmp_path):
    (tmp_path / "photos" / "train").mkdir(parents=True)
    for name in ("train_0001.png", "train_0002.png"):
        (tmp_path / "photos" / "train" / name).write_bytes(png(int(name[9])))
    asked = {"question": "what?", "answer": 3}
    (tmp_path / "qa").mkdir()
    rows = [{"image": name, **asked} for name in ("train_0001", "train_0002.png", "train/train_0001.png")]
    (tmp_path / "qa" / "train.json").write_text(json.dumps(rows))
    data = path_vqa(str(tmp_path / "qa"), images=str(tmp_path / "photos"), **ALL)
    assert [sample.pictures[0].open().getpixel((0, 0))[0] for sample in data.splits["train"]] == [1, 2, 1]
    assert columns(data)[0]["answer"] == "3"
    with pytest.raises(UserError, match="there is no picture 'train_0001'"):
        path_vqa(str(tmp_path / "qa"), **ALL)
    (tmp_path / "photos" / "train_0001.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"missing-picture: 1\n.*may be"):
        path_vqa(str(tmp_path / "qa"), images=str(tmp_path / "photos"), **ALL)


def test_the_hub_s_own_splits_and_streaming(monkeypatch, tmp_path):
    """load_dataset itself, with files of this machine in the place of those of the hub."""
    files = {}
    for number, split in enumerate(("train", "validation", "test")):
        files[split] = str(tmp_path / f"{split}.parquet")
        rows = datasets.Dataset.from_list([row(40 * number + n, f"{n}?") for n in range(20)])
        rows.cast_column("image", datasets.Image()).to_parquet(files[split])
    load, asked = datasets.load_dataset, []

    def load_dataset(name, subset, split, download_config, streaming):
        asked.append((name, streaming))
        return load("parquet", data_files=files, split=split, streaming=streaming, cache_dir=str(tmp_path / "cache"))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(chats_hub, "_silence", lambda name: None)
    few, every = path_vqa(take=5), path_vqa()
    assert asked == [("flaviagiammarino/path-vqa", True), ("flaviagiammarino/path-vqa", False)]
    assert [len(few.splits[name]) for name in SPLITS] == [5, 5, 5]
    assert [len(every.splits[name]) for name in SPLITS] == [20, 20, 20]
    assert few.splits["test"][4].pictures[0].open().getpixel((0, 0)) == (84, 3, 7)
    assert few.splits["val"] == every.splits["val"][:5]


def test_take_reads_the_first_rows_of_each_split(tmp_path):
    rows = [row(n, f"{n}?") for n in range(9)]
    for name, part in {"train-00000-of-00002": rows[:3], "train-00001-of-00002": rows[3:6], "test": rows[6:]}.items():
        table(tmp_path / f"{name}.parquet", part)
    data = path_vqa(str(tmp_path), take=4, val_share=0)
    assert [each["question"] for each in columns(data)] == ["0?", "1?", "2?", "3?"]
    assert len(data.splits["test"]) == 3


shades = st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abc")), min_size=4, max_size=30)


@settings(deadline=None, max_examples=25)
@given(shades, st.integers(0, 3))
def test_no_picture_is_on_both_sides(tmp_path_factory, rows, seed):
    folder = tmp_path_factory.mktemp("rows")
    path = table(folder / "rows.parquet", [row(shade, question) for shade, question in rows])
    data = path_vqa(path, val_share=0.3, test_share=0.3, seed=seed, on_bad="skip")
    shown = [{sample.pictures[0].source for sample in data.splits[name]} for name in SPLITS]
    assert sum(map(len, shown)) == len(set().union(*shown))
    assert sum(map(len, data.splits.values())) == len(rows)


def test_resize_makes_nothing_larger_and_enters_the_fingerprint(tmp_path):
    path = table(tmp_path / "train.parquet", [row(1)])  # 8 by 6 pixels
    whole, large, small = (path_vqa(path, resize=edge, **ALL) for edge in (None, 100, 4))
    assert [data.splits["train"][0].pictures[0].size() for data in (whole, large, small)] == [(8, 6), (8, 6), (4, 3)]
    assert small.splits["train"][0].pictures[0].open().size == (4, 3)
    assert len({data.fingerprint for data in (whole, large, small)}) == 3
    (blank,) = path_vqa(path, resize=4, blank_images=True, **ALL).splits["train"]
    assert blank.pictures[0].open().getcolors() == [(12, (96, 96, 96))]


def test_the_fingerprint_follows_what_only_rewards_see(tmp_path):
    one = path_vqa(table(tmp_path / "a" / "train.parquet", [row(1, case=1)]), **ALL)
    other = path_vqa(table(tmp_path / "b" / "train.parquet", [row(1, case=2)]), **ALL)
    assert one.fingerprint != other.fingerprint


BAD = {
    "unknown-schema": {"image": "1.png", "question": "what?"},
    "empty-answer": {"image": "1.png", "question": "what?", "answer": " "},
    "empty-question": {"image": "1.png", "question": "", "answer": "fire"},
    "missing-picture": {"image": "never.png", "question": "what?", "answer": "fire"},
    "unreadable-picture": {"image": "broken.png", "question": "what?", "answer": "fire"},
    "tags-in-answer": {"image": "1.png", "question": "what?", "answer": "</answer>fire"},
    "image-count": {"image": ["1.png", "1.png"], "question": "what?", "answer": "fire"},
    "bad-json": "{",
    "odd-column": {"image": "1.png", "question": "what?", "answer": "fire", "weight": float("nan")},
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_rows_are_named_and_may_be_left_out(tmp_path, kind):
    good = {"image": picture(tmp_path, 1), "question": "what is it?", "answer": "fire"}
    (tmp_path / "broken.png").write_bytes(png(9)[:40])
    lines(tmp_path / "train.jsonl", [good, BAD[kind]])
    with pytest.raises(UserError, match=rf"(?s){kind}: 1.*train.jsonl:2"):
        path_vqa(str(tmp_path), **ALL)
    assert len(path_vqa(str(tmp_path), on_bad="skip", **ALL).splits["train"]) == 1


@pytest.mark.parametrize(
    "wrong", [{"take": 0}, {"resize": 0}, {"answer_format": "json"}, {"thought": " "}, {"images": "never/there"}]
)
def test_settings_that_make_no_sense(tmp_path, wrong):
    (key,) = wrong
    with pytest.raises(UserError, match=rf"data\.{key}"):
        path_vqa(table(tmp_path / "train.parquet", [row(1)]), **ALL | wrong)
