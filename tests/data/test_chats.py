"""A folder of conversations as a data set: what is learnt, the splits, what is found, and that it is the same again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.chat_rows import asked, lines, picture, words

from prospect.conversation.sample import Turn
from prospect.data.chats.audit import Row
from prospect.data.chats.dataset import chats
from prospect.data.chats.split import drawn
from prospect.data.splits import SPLITS
from prospect.errors import UserError


def sizes(data):
    return {name: len(samples) for name, samples in data.splits.items()}


def test_every_assistant_turn_is_learnt_and_mixed_rows_are_counted(tmp_path):
    one, two = picture(tmp_path, 1), picture(tmp_path, 2)
    rows = [asked(images=[one]), asked(images=[one, two]), *words(3)]
    data = chats(str(lines(tmp_path / "train.jsonl", rows)), val_share=0, test_share=0)
    assert all(turn.learn for sample in data.splits["train"] for turn in sample.turns if turn.role == "assistant")
    assert data.facts()["rows"]["train"] == {"text_only": 3, "one_picture": 1, "several_pictures": 1}
    assert data.task == "answers"
    assert not data.by_user
    blank = chats(str(tmp_path / "train.jsonl"), val_share=0, test_share=0, blank_images=True)
    assert all(shown.blank for sample in blank.splits["train"] for shown in sample.pictures)
    assert blank.fingerprint != data.fingerprint


def test_the_fingerprint_follows_the_pictures(tmp_path):
    rows = [asked(images=[picture(tmp_path, 1)]), *words(3)]
    path = str(lines(tmp_path / "train.jsonl", rows))
    before = chats(path).fingerprint
    assert chats(path).fingerprint == before
    (tmp_path / "1.png").write_bytes((tmp_path / picture(tmp_path, 9)).read_bytes())
    assert chats(path).fingerprint != before


def test_equal_pictures_and_groups_stay_on_one_side(tmp_path):
    names = [picture(tmp_path, shade) for shade in range(20)]
    rows = [asked(f"{n}?", images=[names[n % 20]], case=f"c{n % 7}") for n in range(60)]
    lines(tmp_path / "rows.jsonl", rows)
    by_picture = chats(str(tmp_path), val_share=0.3, test_share=0.3)
    shown = {name: {s.pictures[0].source for s in samples} for name, samples in by_picture.splits.items()}
    assert all(shown.values())
    assert not shown["train"] & shown["val"] | shown["train"] & shown["test"] | shown["val"] & shown["test"]
    text = [{key: row[key] for key in ("messages", "case")} for row in rows]
    by_case = chats(str(lines(tmp_path / "text" / "rows.jsonl", text)), group="case", val_share=0.3, test_share=0.3)
    cases = [{sample.meta["group"] for sample in samples} for samples in by_case.splits.values()]
    assert all(cases)
    assert sum(map(len, cases)) == 7


row_keys = st.lists(st.sets(st.integers(0, 12), min_size=1, max_size=2), min_size=3, max_size=25)


@settings(max_examples=60)
@given(row_keys, st.integers(0, 5))
def test_whatever_rows_share_no_split_is_crossed(shown, seed):
    turns = (Turn("user", ("?",)), Turn("assistant", ("!",)))
    rows = [Row(str(n), "", turns, group) for n, group in enumerate(map(min, shown))]
    split = drawn(rows, {}, seed, 0.2, 0.2)
    sides = {group: {row.split for row in split if row.group == group} for group in {row.group for row in rows}}
    assert all(len(side) == 1 for side in sides.values())
    assert sorted(row.where for row in split) == sorted(row.where for row in rows)
    there = {row.split for row in split}
    assert "train" in there
    if len(sides) >= 3:
        assert there == set(SPLITS)


def test_more_rows_move_no_old_one(tmp_path):
    few = chats(str(lines(tmp_path / "rows.jsonl", words(60))))
    many = chats(str(lines(tmp_path / "rows.jsonl", words(200))))
    for name in SPLITS:
        assert {sample.id for sample in few.splits[name]} <= {sample.id for sample in many.splits[name]}


def test_what_is_held_out_by_name_stays_and_the_rest_is_drawn(tmp_path):
    lines(tmp_path / "train.jsonl", words(40))
    lines(tmp_path / "test.jsonl", words(5))
    data = chats(str(tmp_path), val_share=0.2)
    assert sizes(data)["test"] == 5
    assert sizes(data)["val"] > 0
    elsewhere = lines(tmp_path / "other" / "rows.jsonl", words(3))
    data = chats(str(tmp_path), val_path=str(elsewhere))
    assert sizes(data) == {"train": 40, "val": 3, "test": 5}
    replaced = chats(str(tmp_path), test_path=str(elsewhere), val_share=0)
    assert sizes(replaced)["test"] == 3
    assert "unread-split" in {finding.kind for finding in replaced.findings}


def test_a_picture_on_both_sides_is_an_error_and_the_held_out_row_stays(tmp_path):
    one = picture(tmp_path, 1)
    (tmp_path / "copy.png").write_bytes((tmp_path / one).read_bytes())
    lines(tmp_path / "train.jsonl", [asked(images=[one]), *words(4)])
    lines(tmp_path / "val.jsonl", [asked("else?", images=["copy.png"])])
    with pytest.raises(UserError, match=r"train.jsonl:1: a picture of this row of train is in val too: val.jsonl:1"):
        chats(str(tmp_path))
    assert sizes(chats(str(tmp_path), on_bad="skip", test_share=0)) == {"train": 4, "val": 1, "test": 0}


def test_all_faults_are_told_at_once_by_file_and_row(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    rows = [{"problem": 1}, "{", asked(images=["never.png"]), asked(images=["bad.png"]), asked(answer=""), *words(3)]
    lines(tmp_path / "rows.jsonl", rows)
    with pytest.raises(UserError) as caught:
        chats(str(tmp_path))
    told = str(caught.value)
    assert told.startswith(f"data.path={tmp_path}: 5 errors (data.on_bad=skip leaves these rows out)")
    for part in (
        "rows.jsonl:1: has the columns problem",
        "rows.jsonl:2: not a JSON",
        "rows.jsonl:3: there is no picture",
    ):
        assert part in told
    for part in ("rows.jsonl:4: the picture", "rows.jsonl:5: an assistant turn is empty"):
        assert part in told
    assert sum(sizes(chats(str(tmp_path), on_bad="skip")).values()) == 3


def test_a_row_without_its_group_and_rows_that_come_twice(tmp_path):
    lines(tmp_path / "rows.jsonl", [asked("a?"), asked("a?"), asked("b?", case=1)])
    with pytest.raises(UserError, match=r"rows.jsonl:1: has nothing in the column 'case' that data.group names"):
        chats(str(tmp_path), group="case")
    data = chats(str(tmp_path), val_share=0, test_share=0)
    assert [f.message for f in data.findings if f.kind == "duplicate"] == [
        "1 conversations stand there more than once, such as rows.jsonl:1 and rows.jsonl:2"
    ]


def test_shares_that_leave_nothing(tmp_path):
    with pytest.raises(UserError, match="something is left to train on"):
        chats(str(tmp_path), val_share=0.5, test_share=0.5)
