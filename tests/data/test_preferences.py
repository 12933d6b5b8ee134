"""Pairs of answers: every published shape gives the same pair, what is none is told, and splits keep pictures apart."""

from __future__ import annotations

import pyarrow
import pytest
from pyarrow import parquet
from tests.data.chat_rows import lines, picture, png, words

from prospect.conversation.preference import rejected
from prospect.conversation.sample import Picture
from prospect.data.element.rows import Fault
from prospect.data.preferences.dataset import preferences
from prospect.data.preferences.shapes import pair
from prospect.errors import UserError

ONE = "1.png"
ASKED = [{"role": "user", "content": "what?"}]


def said(text):
    return [{"role": "assistant", "content": text}]


def parted(*parts):
    return [{"type": "image", "text": None} if part is None else {"type": "text", "text": part} for part in parts]


SAME = [
    {"prompt": "what?", "chosen": "fire", "rejected": "wood", "image": ONE},
    {"question": "what?", "chosen_answer": "fire", "rejected_answer": "wood", "images": [ONE]},
    {"question": "what?", "winner_answer": "fire", "loser_answer": "wood", "image": [ONE], "prompt": None},
    {"prompt": "<image>\nwhat?", "chosen": "fire", "rejected": "wood", "images": [ONE]},
    {"prompt": ASKED, "chosen": said("fire"), "rejected": said("wood"), "images": [ONE]},
    {"prompt": ASKED, "chosen": "fire", "rejected": said(parted("wo", "od")), "images": [ONE]},
    {"chosen": ASKED + said("fire"), "rejected": ASKED + said("wood"), "images": [ONE]},
    {"prompt": "what?", "chosen": ASKED + said("fire"), "rejected": ASKED + said("wood"), "images": [ONE]},
    {
        "prompt": [{"role": "user", "content": parted(None, "what?")}],
        "chosen": said(parted("fire")),
        "rejected": said(parted("wood")),
        "images": [ONE],
    },
]


def row(question="what?", chosen="fire", rejected="wood", **more):
    return {"prompt": question, "chosen": chosen, "rejected": rejected, **more}


def rows(count, **more):
    return [row(f"number {n}?", **more) for n in range(count)]


@pytest.mark.parametrize("value", SAME)
def test_the_same_pair_in_every_shape(value, tmp_path):
    picture(tmp_path, 1)
    turns, lost = pair(value, tmp_path)
    shown = [[part.source.name if isinstance(part, Picture) else part for part in turn.parts] for turn in turns]
    assert ([turn.role for turn in turns], shown, lost) == (["user", "assistant"], [[ONE, "what?"], ["fire"]], "wood")


def test_only_the_last_answer_of_several_turns_is_learnt(tmp_path):
    before = [{"role": "system", "content": "Be short."}, *ASKED, *said("a fire"), {"role": "user", "content": "sure?"}]
    turns, lost = pair({"prompt": before, "chosen": said("yes"), "rejected": said("no")}, tmp_path)
    assert [(turn.role, turn.text) for turn in turns][-2:] == [("user", "sure?"), ("assistant", "yes")]
    assert [turn.learn for turn in turns if turn.role == "assistant"] == [False, True]
    assert lost == "no"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (row(chosen="fire", rejected=" fire\n"), "both answers are 'fire'"),
        (row(chosen=" "), "one of the answers is empty"),
        (row(rejected=""), "one of the answers is empty"),
        (row(chosen_answer="wood"), "has chosen and chosen_answer"),
        (row(question=None), "has the columns chosen, rejected; accepted are"),
        ({"prompt": "what?", "chosen": "fire"}, "has the columns chosen, prompt; accepted are"),
        ("what?", "is a str"),
        (row(rejected=7), "must be a text or a list of messages"),
        (row(chosen=[{"role": "user", "content": "fire"}]), "an answer must be a text of the assistant"),
        (row(chosen=ASKED + said("fire"), rejected=said("wood")), "the same up to one answer each"),
        (row(chosen=said("a") + said("fire"), rejected=said("a") + said("wood")), "one answer each, not several"),
        (row("<image><image>what?", image="1.png"), "more pictures than the 1"),
        (row(image="never.png"), "there is no picture"),
    ],
)
def test_what_is_no_pair(value, told, tmp_path):
    picture(tmp_path, 1)
    with pytest.raises(Fault, match=told):
        pair(value, tmp_path)


def test_a_data_set_of_pairs_with_any_number_of_pictures(tmp_path):
    names = [picture(tmp_path, shade) for shade in range(5)]
    some = [row(images=names[:count]) for count in range(5)]
    data = preferences(str(lines(tmp_path / "rows.jsonl", some)), val_share=0, test_share=0)
    assert (data.name, data.task, data.by_user) == ("preferences", "preferences", False)
    assert data.facts()["rows"]["train"] == {"text_only": 1, "one_picture": 1, "several_pictures": 3}
    sample = data.splits["train"][2]
    other = rejected(sample)
    assert (sample.turns[-1].text, other.turns[-1].text) == ("fire", "wood")
    assert (other.turns[:-1], other.id) == (sample.turns[:-1], sample.id)
    blank = preferences(str(tmp_path / "rows.jsonl"), val_share=0, test_share=0, blank_images=True)
    assert all(shown.blank for shown in blank.splits["train"][2].pictures)


def test_the_fingerprint_follows_the_other_answer(tmp_path):
    one = preferences(str(lines(tmp_path / "rows.jsonl", rows(9))), val_share=0, test_share=0)
    other = preferences(str(lines(tmp_path / "rows.jsonl", rows(9, rejected="metal"))), val_share=0, test_share=0)
    assert one.fingerprint != other.fingerprint


def test_parquet_with_encoded_pictures(tmp_path):
    table = [row(images=[{"bytes": png(3), "path": None}]), row("else?", images=[])]
    parquet.write_table(pyarrow.Table.from_pylist(table), tmp_path / "train.parquet")
    data = preferences(str(tmp_path), val_share=0, test_share=0)
    assert [len(sample.pictures) for sample in data.splits["train"]] == [1, 0]


def test_splits_are_drawn_by_picture_and_crossing_ones_are_told(tmp_path):
    names = [picture(tmp_path, shade) for shade in range(12)]
    path = str(lines(tmp_path / "rows.jsonl", [row(f"{n}?", image=names[n % 12]) for n in range(36)]))
    data = preferences(path, val_share=0.25, test_share=0.25)
    sides = [{sample.pictures[0].source for sample in samples} for samples in data.splits.values()]
    assert all(sides)
    assert sum(map(len, sides)) == 12
    lines(tmp_path / "both" / "train.jsonl", [row(image=f"{tmp_path}/1.png"), *rows(3)])
    lines(tmp_path / "both" / "test.jsonl", [row("else?", image=f"{tmp_path}/1.png")])
    with pytest.raises(UserError, match=r"train.jsonl:1: a picture of this row of train is in test too"):
        preferences(str(tmp_path / "both"))


def test_what_the_audit_finds(tmp_path):
    names = [picture(tmp_path, shade) for shade in range(5)]
    turned = row(chosen="wood", rejected="fire")
    found = [row(), row(), turned, row("crowd?", images=names), *rows(3)]
    data = preferences(str(lines(tmp_path / "rows.jsonl", found)), val_share=0, test_share=0)
    told = {finding.kind: finding.message for finding in data.findings if finding.kind != "empty-split"}
    assert told == {
        "duplicate": "1 conversations stand there more than once, such as rows.jsonl:1 and rows.jsonl:2",
        "contradiction": "rows.jsonl:3 prefers 'wood' to 'fire', rows.jsonl:1 the other way round",
        "many-pictures": "rows.jsonl:4: 5 pictures, where published data have 4 at most",
    }


def test_all_faults_are_told_at_once_by_file_and_row(tmp_path):
    lines(tmp_path / "rows.jsonl", [row(chosen="wood"), "{", row(image="never.png"), *words(1), *rows(3)])
    with pytest.raises(UserError) as caught:
        preferences(str(tmp_path))
    told = str(caught.value)
    assert told.startswith(f"data.path={tmp_path}: 4 errors (data.on_bad=skip leaves these rows out)")
    for part in ("rows.jsonl:1: both answers", "rows.jsonl:2: not a JSON", "rows.jsonl:3: there is no picture"):
        assert part in told
    assert "rows.jsonl:4: has the columns messages" in told
    assert sum(map(len, preferences(str(tmp_path), on_bad="skip").splits.values())) == 3
