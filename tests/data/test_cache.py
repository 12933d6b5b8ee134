"""A built folder is complete or not there, and nobody's data is overwritten."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from prospect.data.cache import SETTINGS, built, cache_root, cached, kept
from prospect.errors import UserError


def write_two(folder):
    (folder / "a").write_text("a")
    (folder / "b").write_text("b")


def test_built_once(tmp_path):
    calls = []
    for _ in range(2):
        made = built(tmp_path / "x", {"n": 1}, lambda folder: calls.append(write_two(folder)))
    assert len(calls) == 1
    assert sorted(file.name for file in made.iterdir()) == ["a", "b", SETTINGS]


def test_parallel_starts_share_one_complete_folder(tmp_path):
    together = Barrier(8)

    def build(folder):
        together.wait()  # all of them are building at the same time
        write_two(folder)

    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: built(tmp_path / "x", {"n": 1}, build), range(8)))
    assert made == {tmp_path / "x"}
    assert [folder.name for folder in tmp_path.iterdir()] == ["x"]  # no staging folder is left


def test_a_build_that_fails_leaves_nothing(tmp_path):
    def broken(folder):
        write_two(folder)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        built(tmp_path / "x", {"n": 1}, broken)
    assert list(tmp_path.iterdir()) == []


def test_other_settings_or_other_files_are_refused_and_left_untouched(tmp_path):
    built(tmp_path / "x", {"n": 1}, write_two)
    with pytest.raises(UserError, match="other settings"):
        built(tmp_path / "x", {"n": 2}, write_two)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="was not made here"):
        built(tmp_path / "mine", {"n": 1}, write_two)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "precious"


def test_the_folder_name_follows_the_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("PROSPECT_CACHE", str(tmp_path / "here"))
    assert cache_root() == tmp_path / "here"
    assert cached("x", {"n": 1}, write_two) == cached("x", {"n": 1}, write_two) != cached("x", {"n": 2}, write_two)


def test_a_folder_without_a_name_is_no_cache(tmp_path, monkeypatch):
    """It is the folder one stands in, which holds something else."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="exists and was not made here"):
        kept("drawn", "", {"size": 1}, lambda folder: None)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
