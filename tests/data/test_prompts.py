"""Prompts with pictures or without: nothing is learnt, everything else is a column, and what is found."""

from __future__ import annotations

import pytest
from tests.data.chat_rows import lines, picture, png

from prospect.data.path_vqa.pictures import CELLS, STAINS
from prospect.data.prompts.dataset import prompts
from prospect.data.prompts.demo import prompts_demo
from prospect.errors import UserError

ALL = {"val_share": 0, "test_share": 0}


def read(folder, rows, **more):
    return prompts(str(lines(folder / "train.jsonl", rows)), **ALL | more)


def test_text_only_one_picture_and_four(tmp_path):
    names = [picture(tmp_path, shade) for shade in range(4)]
    data = read(
        tmp_path, [{"prompt": "2 + 2?"}, {"prompt": "what?", "image": names[0]}, {"prompt": "all?", "images": names}]
    )
    words, one, four = data.splits["train"]
    assert data.task == "prompts"
    assert [len(sample.pictures) for sample in (words, one, four)] == [0, 1, 4]
    assert [sample.turns[-1].text for sample in (words, one, four)] == ["2 + 2?", "what?", "all?"]
    assert {turn.role for sample in data.splits["train"] for turn in sample.turns} == {"user"}
    assert not any(turn.learn for sample in data.splits["train"] for turn in sample.turns)
    assert data.facts()["rows"]["train"] == {"text_only": 1, "one_picture": 1, "several_pictures": 1}
    assert not [finding for finding in data.findings if finding.kind != "empty-split"]


def test_every_other_column_is_for_rewards(tmp_path):
    row = {"prompt": "what?", "image": picture(tmp_path, 1), "answer": "4", "level": None, "tags": ["a", 1]}
    (sample,) = read(tmp_path, [row]).splits["train"]
    assert sample.meta["columns"] == {"answer": "4", "level": None, "tags": ["a", 1]}
    assert read(tmp_path, [row]).fingerprint != read(tmp_path, [row | {"answer": "5"}]).fingerprint


def test_conversations_with_their_pictures_in_place(tmp_path):
    asked = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what?"}]},
        {"role": "assistant", "content": "fire"},
        {"role": "user", "content": "and here?"},
    ]
    (sample,) = read(tmp_path, [{"prompt": asked, "images": [picture(tmp_path, 1)]}], answer_format="think").splits[
        "train"
    ]
    assert [turn.role for turn in sample.turns] == ["system", "user", "assistant", "user"]
    assert sample.turns[1].pictures
    assert sample.turns[-1].text.startswith("and here?\nReply with <think>")
    assert not any(turn.learn for turn in sample.turns)


def test_another_column_a_map_and_a_group(tmp_path):
    (tmp_path / "own.py").write_text("def ask(row):\n    return row | {'problem': row['problem'] + '?'}\n")
    rows = [{"problem": f"{n}", "case": n % 3} for n in range(30)]
    data = read(
        tmp_path, rows, prompt="problem", map=f"{tmp_path}/own.py:ask", group="case", val_share=0.3, test_share=0.3
    )
    assert all(data.splits.values())
    cases = [{sample.meta["group"] for sample in samples} for samples in data.splits.values()]
    assert sum(map(len, cases)) == 3
    assert {"problem"}.isdisjoint(data.splits["train"][0].meta["columns"])
    assert data.splits["train"][0].turns[0].text.endswith("?")


def test_take_resize_and_blank_pictures(tmp_path):
    rows = [{"prompt": f"{n}?", "image": picture(tmp_path, n)} for n in range(5)]
    data = read(tmp_path, rows, take=2, resize=4, blank_images=True)
    assert [sample.turns[0].text for sample in data.splits["train"]] == ["0?", "1?"]
    assert data.splits["train"][1].pictures[0].open().getcolors() == [(12, (96, 96, 96))]


BAD = {
    "unknown-schema": {"question": "what?"},
    "empty-prompt": {"prompt": " "},
    "bad-order": {"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
    "image-count": {"prompt": [{"role": "user", "content": [{"type": "image"}]}]},
    "missing-picture": {"prompt": "what?", "image": "never.png"},
    "unreadable-picture": {"prompt": "what?", "image": "broken.png"},
    "odd-column": {"prompt": "what?", "weight": float("inf")},
    "bad-json": "{",
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_rows_are_named_and_may_be_left_out(tmp_path, kind):
    (tmp_path / "broken.png").write_bytes(png(9)[:40])
    with pytest.raises(UserError, match=rf"(?s){kind}: 1.*train.jsonl:2"):
        read(tmp_path, [{"prompt": "what?"}, BAD[kind]])
    assert len(read(tmp_path, [{"prompt": "what?"}, BAD[kind]], on_bad="skip").splits["train"]) == 1


def test_five_pictures_are_told(tmp_path):
    data = read(tmp_path, [{"prompt": "all?", "images": [picture(tmp_path, shade) for shade in range(5)]}])
    assert "many-pictures" in {finding.kind for finding in data.findings}


def test_the_twin_has_every_kind_and_its_answers(tmp_path):
    data = prompts_demo(train=9, val=3, test=6)
    assert (data.name, data.task, data.findings) == ("prompts_demo", "prompts", [])
    assert {name: len(samples) for name, samples in data.splits.items()} == {"train": 9, "val": 3, "test": 6}
    for sample in data.splits["train"]:
        columns = sample.meta["columns"]
        assert {"one": 1, "two": 2, "words": 0}[columns["kind"]] == len(sample.pictures)
        assert columns["answer"] in columns["answers"]
        assert (
            set(columns["answers"])
            <= {"one": CELLS.keys(), "two": STAINS.keys(), "words": CELLS.keys() | STAINS.keys()}[columns["kind"]]
        )
    again = prompts_demo(folder=str(tmp_path / "again"), train=9, val=3, test=6)
    assert again.fingerprint == data.fingerprint
    assert prompts_demo(train=9, val=3, test=6, seed=1).fingerprint != data.fingerprint
    with pytest.raises(UserError, match=r"data\.train=0"):
        prompts_demo(train=0)
