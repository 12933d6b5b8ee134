"""Many users: what is read, who is in which split, what is refused and how it is said."""

from __future__ import annotations

import io
import json
from pathlib import Path

import datasets
import pytest
from PIL import Image

from prospect.conversation.sample import Picture
from prospect.data.users.dataset import of_users, users
from prospect.errors import UserError

SPLITS = {"train_users": "3-4", "val_users": 2, "test_users": 1}


class Users:
    """`user_N.jsonl` for users 1 to 4, three sound conversations each, and `images/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "images").mkdir(parents=True)
        for user in (1, 2, 3, 4):
            self.write(user, [self.talk(user * 10 + n) for n in range(3)])

    def image(self, shade: int) -> str:
        Image.new("RGB", (8, 6), (shade, 0, 0)).save(self.folder / "images" / f"{shade}.png")
        return f"images/{shade}.png"

    def talk(self, shade: int, answer: str = "(1, 2)") -> dict:
        content = [{"type": "image", "image": self.image(shade)}, {"type": "text", "text": "Where?"}]
        return {"messages": [asked(content), said(answer)]}

    def write(self, user: int, rows: list) -> None:
        text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
        (self.folder / f"user_{user}.jsonl").write_text(text, encoding="utf-8")

    def read(self, **change):
        return users(str(self.folder), **{**SPLITS, **change})


def asked(content, **more) -> dict:
    return {"role": "user", "content": content, **more}


def said(content, **more) -> dict:
    return {"role": "assistant", "content": content, **more}


@pytest.fixture
def made(tmp_path) -> Users:
    return Users(tmp_path / "data")


def ids(data, split: str) -> list[str]:
    return [sample.id for sample in data.splits[split]]


def kinds(data) -> list[str]:
    return [finding.kind for finding in data.findings]


def test_splits_are_made_of_users(made):
    data = made.read()
    assert ids(data, "train") == ["3/1", "3/2", "3/3", "4/1", "4/2", "4/3"]
    assert ids(data, "test") == ["1/1", "1/2", "1/3"]
    assert data.findings == []
    assert data.facts()["users"] == {"train": {"3": 3, "4": 3}, "val": {"2": 3}, "test": {"1": 3}}


def test_the_published_ranges_are_the_default(made):
    for user in (10, 11, 73, 74, 83):
        made.write(user, [made.talk(user)])
    data = users(str(made.folder))
    owners = {split: {sample.meta["user"] for sample in samples} for split, samples in data.splits.items()}
    assert owners == {"train": {11, 73}, "val": {74, 83}, "test": {1, 2, 3, 4, 10}}


def test_content_as_text_or_parts_says_the_same(made):
    image = made.image(7)
    shapes = [
        {"messages": [asked([{"type": "image", "image": image}, {"type": "text", "text": "Where?"}]), said("Here.")]},
        {
            "messages": [asked([{"type": "image"}, {"type": "text", "text": "Where?"}]), said("Here.")],
            "images": [image],
        },
        {"messages": [asked("<image>\nWhere?"), said([{"type": "text", "text": "Here."}])], "images": [image]},
        {"messages": [asked("<image>Where?"), said("Here.")], "images": [image]},
        {"messages": [asked("Where?"), said("Here.")], "images": [image]},
    ]
    made.write(1, shapes)
    parts = [sample.turns[0].parts for sample in made.read().splits["test"]]
    assert all(isinstance(first, Picture) and words == "Where?" for first, words in parts)
    assert {sample.turns[1].text for sample in made.read().splits["test"]} == {"Here."}


def test_markers_are_pictures_only_where_there_are_any(made):
    image = made.image(7)
    made.write(
        1,
        [
            {"messages": [asked("<image> is a word"), said("Yes.")]},
            {"messages": [asked("<image><image>Both?"), said("Yes, <image>.")], "images": [image, made.image(8)]},
            {"messages": [asked("What is <image> here?<image>"), said("Yes.")], "images": [image]},
        ],
    )
    one, two, three = (sample.turns for sample in made.read().splits["test"])
    assert one[0].parts == ("<image> is a word",)
    assert [type(part) for part in two[0].parts] == [Picture, Picture, str]
    assert two[1].text == "Yes, <image>."
    assert three[0].parts[0] == "What is <image> here?"


def test_several_turns_with_pictures_between_them(made):
    talk = [
        {"role": "system", "content": "Help."},
        asked("<image>Start"),
        said("(1, 2)", kind="shared"),
        asked([{"type": "text", "text": "And now?"}, {"type": "image"}]),
        said("Done."),
    ]
    made.write(1, [{"id": "a", "messages": talk, "images": [made.image(5), made.image(6)]}])
    (sample,) = made.read().splits["test"]
    assert (sample.id, [turn.role for turn in sample.turns]) == ("1/a", ["system", *["user", "assistant"] * 2])
    assert [turn.kind for turn in sample.turns] == ["", "", "shared", "", ""]
    assert [picture.open().getpixel((0, 0))[0] for picture in sample.pictures] == [5, 6]


BAD = [
    ("{not json", "bad-json", "not a JSON object"),
    ("[1]", "unknown-schema", "is a list"),
    ({"text": "x"}, "unknown-schema", "has the keys"),
    ({"messages": []}, "bad-order", "the turns go nowhere"),
    ({"messages": [asked("x")]}, "bad-order", "the turns go user"),
    ({"messages": [said("x"), asked("y")]}, "bad-order", "assistant, user"),
    ({"messages": [asked("x"), asked("y"), said("z")]}, "bad-order", "questions and answers by turns"),
    ({"messages": [{"role": "bot", "content": "x"}, said("y")]}, "unknown-schema", "unknown role 'bot'"),
    ({"messages": [asked(None), said("y")]}, "unknown-schema", "must be a text or a list of parts"),
    ({"messages": [asked([{"type": "video"}]), said("y")]}, "unknown-schema", "unknown part"),
    ({"messages": [asked("x"), said("y", kind="a/b")]}, "unknown-schema", "kind must be a text without /"),
    ({"messages": [asked("x"), said(" ")]}, "empty-answer", "nothing to learn"),
    (
        {"messages": [asked("x"), said([{"type": "image", "image": "images/10.png"}])]},
        "unknown-schema",
        "has a picture",
    ),
    ({"messages": [asked("<image>x"), said("y")], "images": ["no.png"]}, "missing-picture", "no picture 'no.png'"),
    ({"messages": [asked("<image><image>x"), said("y")], "images": ["images/10.png"]}, "image-count", "more pictures"),
    ({"messages": [asked("<image>x"), said("y")], "images": ["images/10.png"] * 2}, "image-count", "ask for 1 of them"),
    ({"messages": [asked("x"), said("y")], "images": "images/10.png"}, "unknown-schema", "images must be a list"),
    ({"messages": [asked("x"), said("y")], "images": ["data.txt"]}, "unreadable-picture", "cannot be decoded"),
]


@pytest.mark.parametrize(("row", "kind", "words"), BAD, ids=[f"{n}-{kind}" for n, (_, kind, _) in enumerate(BAD)])
def test_a_bad_row_is_named_by_file_and_line(made, row, kind, words):
    (made.folder / "data.txt").write_text("no picture")
    made.write(3, [made.talk(30), row, made.talk(32)])
    with pytest.raises(UserError, match=kind) as caught:
        made.read()
    assert "user_3.jsonl:2: " in str(caught.value)
    assert words in str(caught.value)
    assert "data.on_bad=skip" in str(caught.value)
    data = made.read(on_bad="skip")
    assert ids(data, "train") == ["3/1", "3/3", "4/1", "4/2", "4/3"]
    assert kind in kinds(data)


def test_what_only_looks_wrong_is_a_warning(made):
    made.write(4, [made.talk(30), made.talk(44), made.talk(44, "(9, 9)")])
    made.write(1, [made.talk(30)])  # user 3 and 4 have the same
    (made.folder / "notes.jsonl").write_text("")
    (made.folder / "user_9.pkl").write_bytes(b"")
    data = made.read()
    told = {finding.kind: finding.message for finding in data.findings}
    assert set(told) == {"contradiction", "overlap", "unread-file"}
    assert "user_4.jsonl:2" in told["contradiction"]
    assert "1 conversations of test are in train too" in told["overlap"]
    assert "prospect.data.users.pickles" in told["unread-file"]


def test_duplicate_ids(made):
    made.write(1, [made.talk(1) | {"id": "a"}, made.talk(2) | {"id": "a"}])
    with pytest.raises(UserError, match=r"user_1\.jsonl:2: user_1\.jsonl:1 has the id 1/a too"):
        made.read()


def test_users_without_files_and_files_without_a_split(made):
    data = made.read(train_users="3,7", val_users="8")
    told = {finding.kind: finding.message for finding in data.findings}
    assert told["missing-user"] == "train: no file of user 7"
    assert told["empty-split"] == "val has no users: 8 have no file"
    assert told["unassigned-user"] == "user 2, 4 is in no split and not read"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"users": 9}, "no file of user 9; it has 1-4"),
        ({"users": 4, "train_users": 3}, "user 4 is in no split"),
        ({"users": "x"}, "data.users=x"),
        ({"test_users": 3}, "user 3 is in data.train_users too"),
        ({"person": 1, "users": 1}, "data.person=1"),
        ({"person": 1, "folds": 5}, "user 1 has only 3 usable samples"),
        ({"person": 1, "folds": 2}, "data.folds=2"),
        ({"person": 1, "folds": 3, "fold": 3}, "data.fold=3"),
        ({"radius": 0}, "data.radius=0"),
    ],
)
def test_settings_that_cannot_be_meant(made, change, words):
    with pytest.raises(UserError) as caught:
        made.read(**change)
    assert words in str(caught.value)


def test_folders_that_hold_no_users(tmp_path):
    with pytest.raises(UserError, match="there is no such folder"):
        users(str(tmp_path / "nowhere"))
    (tmp_path / "user_1.pkl").write_bytes(b"")
    with pytest.raises(UserError, match=r"no file of any user.*users.pickles"):
        users(str(tmp_path))
    for name in ("user_1.jsonl", "1.jsonl"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match=r"1\.jsonl and user_1\.jsonl are both of user 1"):
        users(str(tmp_path))


def test_only_some_users_are_read(made):
    made.write(4, ["broken"])
    data = made.read(users=[1, "3"])
    assert (ids(data, "train"), ids(data, "val"), len(ids(data, "test"))) == (["3/1", "3/2", "3/3"], [], 3)
    assert data.findings == []


def test_the_folds_of_one_user_are_tested_once_each(made):
    made.write(1, [made.talk(shade) for shade in range(100, 110)])
    seen = []
    for fold in range(5):
        data = made.read(person=1, fold=fold)
        parts = [set(ids(data, split)) for split in ("train", "val", "test")]
        assert len(set.union(*parts)) == sum(map(len, parts)) == 10
        seen += ids(data, "test")
    assert sorted(seen) == sorted(f"1/{n}" for n in range(1, 11))


def test_a_person_may_be_in_no_split(made):
    data = made.read(person=1, folds=3, test_users=None)
    assert [len(samples) for samples in data.splits.values()] == [1, 1, 1]
    assert data.findings == []


def test_samples_of_one_picture_are_in_one_fold(made):
    made.write(1, [made.talk(shade, f"({n}, 2)") for shade in range(100, 106) for n in range(2)])
    for fold in range(3):
        data = made.read(person=1, folds=3, fold=fold)
        shown = [{s.pictures[0].source for s in data.splits[split]} for split in ("train", "val", "test")]
        assert sum(map(len, shown)) == len(set.union(*shown)) == 6


def test_users_are_chosen_from_a_split_and_never_from_another(made):
    data = made.read(train_users="4", test_users="1-2", val_users=3)
    assert ids(of_users(data, 2, "test"), "test") == ["2/1", "2/2", "2/3"]
    assert of_users(data, None, "test") is data
    with pytest.raises(UserError, match=r"users=2-4: user 3-4 is not in split=test, which has 1-2.*split=train has 4"):
        of_users(data, "2-4", "test")


def test_blank_pictures_keep_their_size(made):
    data = made.read(blank_images=True)
    picture = data.splits["test"][0].pictures[0]
    assert picture.open().size == (8, 6)
    assert len(picture.open().getcolors()) == 1
    assert data.fingerprint != made.read().fingerprint


def test_tables_say_the_same_as_lines(made, tmp_path):
    """One `datasets` folder a user, with pictures inside or by path, and one table with a column user."""
    folder = tmp_path / "tables"
    for user in (1, 2, 3, 4):
        rows = [
            {
                "messages": [
                    asked([{"type": "image", "text": None}, {"type": "text", "text": "Where?"}]),
                    said(_one("(1, 2)")),
                ],
                "images": [str(made.folder / "images" / f"{user * 10 + n}.png")],
            }
            for n in range(3)
        ]
        table = datasets.Dataset.from_list(rows)
        if user == 1:
            table = table.cast_column("images", datasets.List(datasets.Image()))
        table.save_to_disk(str(folder / f"user_{user}"))
    data = users(str(folder), **SPLITS)
    assert _seen(data) == _seen(made.read())


def test_one_table_with_a_column_user(made, tmp_path):
    def stored(shade: int) -> dict:
        file = io.BytesIO()
        Image.new("RGB", (8, 6), (shade, 0, 0)).save(file, "PNG")
        return {"bytes": file.getvalue(), "path": None}

    rows = [
        {"user": user, "messages": [asked("Where?"), said("(1, 2)")], "images": [stored(user * 10 + n)]}
        for user in (1, 2, 3, 4)
        for n in range(3)
    ]
    table = datasets.Dataset.from_list(rows)
    table.save_to_disk(str(tmp_path / "table"))
    assert _seen(users(str(tmp_path / "table"), **SPLITS)) == _seen(made.read())
    assert len(users(str(tmp_path / "table"), users=4, **SPLITS).splits["train"]) == 3
    table.remove_columns("user").save_to_disk(str(tmp_path / "nobody"))
    with pytest.raises(UserError, match="messages and user are needed"):
        users(str(tmp_path / "nobody"), **SPLITS)


def _one(text: str) -> list[dict]:
    return [{"type": "text", "text": text}]


def _seen(data) -> dict:
    return {
        split: [
            (sample.meta["user"], [turn.text for turn in sample.turns], sample.pictures[0].open().tobytes())
            for sample in samples
        ]
        for split, samples in data.splits.items()
    }
