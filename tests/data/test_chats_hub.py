"""Data sets of the hub: the way through `datasets.load_dataset`, and what is said where the hub does not answer."""

from __future__ import annotations

import datasets
import pytest
from pyarrow import Table, parquet
from tests.data.chat_rows import words

from prospect.data.chats import hub as chats_hub
from prospect.data.chats.dataset import chats
from prospect.errors import UserError

ROWS = words(40)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """load_dataset itself, with files of this machine in the place of those of the hub."""
    files = {"train": str(tmp_path / "a.parquet"), "test": str(tmp_path / "b.parquet")}
    parquet.write_table(Table.from_pylist(ROWS[:30]), files["train"])
    parquet.write_table(Table.from_pylist(ROWS[30:]), files["test"])
    calls = []
    load = datasets.load_dataset

    def load_dataset(name, subset, split, download_config, streaming):
        assert not streaming
        calls.append((name, subset, split))
        return load("parquet", data_files=files, split=split, cache_dir=str(tmp_path / "cache"))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(chats_hub, "_silence", lambda name: None)
    return calls


def test_every_split(hub):
    data = chats("somebody/chats", subset="small")
    assert hub == [("somebody/chats", "small", None)]
    assert {name: len(samples) for name, samples in data.splits.items()}["test"] == 10
    assert {sample.id for sample in data.splits["test"]} == {f"test[{n}]" for n in range(10)}
    assert len(data.splits["train"]) + len(data.splits["val"]) == 30
    assert data.splits["val"]


def test_expressions(hub):
    data = chats("somebody/chats", split="train[:50%]", val_split="test[:20%]", test_share=0)
    assert [split for _, _, split in hub] == ["train[:50%]", "test[:20%]"]
    assert {name: len(samples) for name, samples in data.splits.items()} == {"train": 15, "val": 2, "test": 0}
    assert data.splits["val"][0].id == "test[:20%][0]"


def test_an_unknown_split_is_told_by_its_name(hub):
    with pytest.raises(UserError, match=r"data.path=somebody/chats: .*data.split"):
        chats("somebody/chats", split="nowhere")


def test_a_hub_that_does_not_answer(monkeypatch):
    """HF_HUB_OFFLINE is set for all tests: this is what a machine without a connection says."""
    with pytest.raises(UserError) as caught:
        chats("somebody/never-there")
    for part in ("data.path=somebody/never-there", "hf download --repo-type dataset", "data.path=FOLDER"):
        assert part in str(caught.value)


def test_no_file_and_no_name():
    with pytest.raises(UserError, match="no such file or folder, and it is no hub name"):
        chats("./never/there.jsonl/x")
