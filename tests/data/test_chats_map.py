"""One's own function: found and checked first, called on rows with decoded pictures, its faults told by line."""

from __future__ import annotations

import hashlib

import pytest
from pyarrow import Table, parquet
from tests.data.chat_rows import lines, png, words

from prospect.data.chats.dataset import chats
from prospect.data.chats.map import own_map
from prospect.errors import UserError

CODE = """
from PIL import Image

def solved(row):
    return {"prompt": row["problem"], "completion": row["solution"], "image": row.get("image")}

def some(row):
    return solved(row) if row["problem"] != "2?" else None

def grey(row):
    assert isinstance(row["image"], Image.Image)
    return solved(row) | {"image": row["image"].convert("L")}

def late(row):
    return solved(row) if row["problem"] != "3?" else row["nothing"]

def wrong(row):
    return "a text"

def two(row, other):
    return row
"""
ROWS = [{"problem": f"{n}?", "solution": f"{n}"} for n in range(5)]


@pytest.fixture
def code(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(CODE)
    return file


def of(code, name, rows=ROWS, **more):
    return chats(str(lines(code.parent / "rows.jsonl", rows)), map=f"{code}:{name}", val_share=0, test_share=0, **more)


def test_rows_become_conversations_and_the_file_is_recorded(code):
    data = of(code, "solved")
    assert [sample.turns[0].text for sample in data.splits["train"]] == ["0?", "1?", "2?", "3?", "4?"]
    sha256 = hashlib.sha256(code.read_bytes()).hexdigest()
    assert data.facts()["map"] == {"function": "solved", "sha256": sha256}
    assert "map" not in chats(str(lines(code.parent / "plain.jsonl", words(3)))).facts()


def test_none_leaves_a_row_out(code):
    assert [sample.id for sample in of(code, "some").splits["train"]] == [f"rows.jsonl:{n}" for n in (1, 2, 4, 5)]


def test_pictures_of_tables_come_decoded_and_go_back(code, tmp_path):
    rows = [row | {"image": {"bytes": png(200), "path": None}} for row in ROWS]
    parquet.write_table(Table.from_pylist(rows), tmp_path / "rows.parquet")
    data = chats(str(tmp_path / "rows.parquet"), map=f"{code}:grey", val_share=0, test_share=0)
    pixel = data.splits["train"][0].pictures[0].open().getpixel((0, 0))
    assert len(set(pixel)) == 1


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("mine.py", "write FILE.py:FUNCTION"),
        ("mine.txt:solved", "write FILE.py:FUNCTION"),
        ("never.py:solved", "there is no file"),
        ("mine.py:solve", "mine.py has no function solve; it has solved, some, grey, late, wrong, two"),
        ("mine.py:Image", "has no function Image"),
        ("mine.py:two", r"two is called with one row and nothing else \(two\(row, other\): missing"),
        ("broken.py:f", "fails when imported: ZeroDivisionError"),
    ],
)
def test_what_is_no_such_function_is_said_before_anything_is_read(written, told, code, monkeypatch):
    monkeypatch.chdir(code.parent)
    (code.parent / "broken.py").write_text("1 / 0\n")
    with pytest.raises(UserError, match=told):
        own_map(written)


def test_a_first_row_that_fails_stops_at_once(code):
    with pytest.raises(UserError, match=r"first row \(rows.jsonl:1\): solved: KeyError: 'problem' \(line 5\)"):
        of(code, "solved", [{"question": "?"}, *ROWS], on_bad="skip")
    with pytest.raises(UserError, match="gave a str, not a row"):
        of(code, "wrong")


def test_a_later_row_that_fails_is_a_finding(code):
    with pytest.raises(UserError, match=r"rows.jsonl:4: late: KeyError: 'nothing' \(line 15\)"):
        of(code, "late")
    assert len(of(code, "late", on_bad="skip").splits["train"]) == 4
