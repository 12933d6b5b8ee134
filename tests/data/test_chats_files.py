"""The same rows from every kind of file, from folders, from what `datasets` saved; splits and expressions of them."""

from __future__ import annotations

import json

import datasets
import pyarrow
import pytest
from pyarrow import parquet
from tests.data.chat_rows import asked, lines, png, words

from prospect.data.chats.files import entries
from prospect.errors import UserError

ROWS = words(20)


def read(path, expression=None, subset=None):
    return entries(str(path), subset, expression, "data.path")


def write(kind, folder):
    table = pyarrow.Table.from_pylist(ROWS)
    if kind == "saved":
        datasets.Dataset.from_list(ROWS).save_to_disk(folder / "saved")
        return folder / "saved"
    file = folder / f"rows.{kind}"
    if kind == "jsonl":
        lines(file, ROWS)
    elif kind == "json":
        file.write_text(json.dumps(ROWS))
    elif kind == "parquet":
        parquet.write_table(table, file)
    else:
        with pyarrow.ipc.new_stream(file, table.schema) as out:
            out.write_table(table)
    return file


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet", "arrow", "saved"])
def test_the_same_rows_of_every_kind(kind, tmp_path):
    path = write(kind, tmp_path)
    found = read(path)
    assert [entry.value for entry in found] == ROWS
    assert len({entry.where for entry in found}) == 20
    assert {entry.split for entry in found} == {""}
    last = read(path, "train[90%:]")
    assert [entry.value for entry in last] == ROWS[18:]
    assert last[0].where == found[18].where


def test_a_file_of_arrow_is_read_as_well_as_a_stream(tmp_path):
    table = pyarrow.Table.from_pylist(ROWS)
    with pyarrow.ipc.new_file(tmp_path / "rows.arrow", table.schema) as out:
        out.write_table(table)
    assert [entry.value for entry in read(tmp_path)] == ROWS


def test_files_named_after_splits_and_what_lies_beside_them(tmp_path):
    lines(tmp_path / "train-00000-of-00002.jsonl", ROWS[:3])
    lines(tmp_path / "train-00001-of-00002.jsonl", ROWS[3:5])
    lines(tmp_path / "validation.jsonl", ROWS[5:6])
    (tmp_path / "settings.json").write_text("{}")
    assert [entry.split for entry in read(tmp_path)] == ["train"] * 5 + ["validation"]
    assert [entry.where for entry in read(tmp_path, "train[3:]+validation")] == [
        "train-00001-of-00002.jsonl:1",
        "train-00001-of-00002.jsonl:2",
        "validation.jsonl:1",
    ]
    lines(tmp_path / "extra.jsonl", ROWS[6:])
    with pytest.raises(UserError, match=r"train-00000-of-00002.jsonl is named after a split and extra.jsonl is not"):
        read(tmp_path)


def test_a_copy_of_the_hub_has_its_files_in_data(tmp_path):
    lines(tmp_path / "data" / "test.jsonl", ROWS)
    assert read(tmp_path)[0].where == "data/test.jsonl:1"


def test_pictures_of_a_saved_table_stay_as_they_are_stored(tmp_path):
    features = datasets.Features({"images": datasets.List(datasets.Image()), "prompt": datasets.Value("string")})
    stored = [{"images": [{"bytes": png(1), "path": None}], "prompt": "what?"}]
    splits = datasets.DatasetDict({"train": datasets.Dataset.from_list(stored, features=features)})
    splits.save_to_disk(tmp_path / "saved")
    (entry,) = read(tmp_path / "saved")
    assert (entry.split, entry.where) == ("train", "train[0]")
    assert entry.value["images"] == [{"bytes": png(1), "path": None}]


def test_lines_that_are_no_json_are_faults_of_their_own(tmp_path):
    found = read(lines(tmp_path / "rows.jsonl", [asked(), "{", asked()]))
    assert [entry.where for entry in found] == ["rows.jsonl:1", "rows.jsonl:2", "rows.jsonl:3"]
    assert found[1].value.kind == "bad-json"


@pytest.mark.parametrize(
    ("name", "content", "expression", "told"),
    [
        ("rows.csv", b"", None, "a file must end in .jsonl, .json, .parquet, .arrow"),
        ("rows.json", b"{}", None, "holds one dict; a .json file must be a list of rows"),
        ("rows.json", b"{", None, "is no JSON.*must end in .jsonl"),
        ("rows.parquet", b"PAR1", None, "cannot be read as parquet"),
        ("rows.arrow", b"ARROW1", None, "cannot be read as Arrow"),
        ("rows.jsonl", b"{}\n", "test[:5%]", "split 'test.*there is train"),
        ("rows.jsonl", b"{}\n", "train[:five]", "split 'train"),
    ],
)
def test_what_cannot_be_read_is_said(name, content, expression, told, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=told):
        read(tmp_path / name, expression)


def test_an_empty_folder_and_a_subset_of_it(tmp_path):
    with pytest.raises(UserError, match="no file in it that ends in"):
        read(tmp_path)
    with pytest.raises(UserError, match="only data sets of the hub have subsets"):
        read(tmp_path, subset="ai2d")
