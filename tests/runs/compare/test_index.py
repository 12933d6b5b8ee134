"""Every folder has an entry, whatever lies in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from prospect.errors import UserError
from prospect.runs.compare.compared import compared
from prospect.runs.compare.find import folders as found
from prospect.runs.compare.find import names
from prospect.runs.compare.index import index

NESTED = "[" * 200_000


def spoil(folder, file, text):
    (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())


def without(folder, file):
    (folder / file).unlink()


def facts(folder, **changes):
    told = json.loads((folder / "run.json").read_text()) | changes
    (folder / "run.json").write_text(json.dumps({key: value for key, value in told.items() if value is not ...}))


def empty(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def as_folder(folder, file):
    without(folder, file)
    (folder / file).mkdir()


DAMAGE = {  # what is done to a good folder, and a word of what the entry then says
    "nothing in it": (empty, "empty"),
    "half of run.json": (lambda f: spoil(f, "run.json", (f / "run.json").read_bytes()[:300]), "run.json is not compl"),
    "empty run.json": (lambda f: spoil(f, "run.json", ""), "run.json is empty"),
    "no run.json": (lambda f: without(f, "run.json"), "no run.json"),
    "run.json in Latin-1": (lambda f: spoil(f, "run.json", b'{"status": "\xe9"}'), "cannot be read"),
    "a deep run.json": (lambda f: spoil(f, "run.json", NESTED), "run.json is not complete"),
    "a list as run.json": (lambda f: spoil(f, "run.json", "[1, 2]"), "holds no object"),
    "another schema": (lambda f: facts(f, schema=99), "schema 99"),
    "no status": (lambda f: facts(f, status=...), "lacks a proper status"),
    "no config": (lambda f: without(f, "config.yaml"), "no config.yaml"),
    "half of config.yaml": (lambda f: spoil(f, "config.yaml", "model: {a: 1,"), "config.yaml is not YAML"),
    "half of metrics.json": (lambda f: spoil(f, "metrics.json", '{"test/acc'), "metrics.json is not complete"),
    "a folder metrics.json": (lambda f: as_folder(f, "metrics.json"), "metrics.json cannot be read"),
    "unknown pid, no process": (lambda f: facts(f, status="RUNNING", process={}), "cannot be told"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_cannot_be_read_is_broken_and_says_why(folders, damage):
    folder = folders.write("one", metrics={"test/accuracy": 1.0})
    act, word = DAMAGE[damage]
    act(folder)
    (entry,) = index([folder])
    assert entry.state == "BROKEN"
    assert word in entry.problem


def test_sixty_folders_twelve_of_them_broken(folders, dead):
    for number in range(48):
        weight, seed = divmod(number, 6)
        folders.write(f"sweep/{number}", seed, {"loss.weight": weight / 8}, {"test/accuracy": 0.5 + number / 100})
    for number, (act, _) in enumerate(list(DAMAGE.values())[:12]):
        act(folders.write(f"sweep/{48 + number}", metrics={"test/accuracy": 0.1}))
    entries = index(found([str(folders.root)]))
    comparison = compared(entries)
    assert len(entries) == len({entry.name for entry in entries}) == 60
    assert [entry.name for entry in entries] == [f"sweep/{number}" for number in range(60)]
    assert sum(entry.state == "BROKEN" for entry in entries) == 12
    assert sum(len(group.entries) for group in comparison.groups) == 48
    assert [len(group.summaries["test/accuracy"].by_seed) for group in comparison.groups] == [6] * 8


def test_a_run_whose_process_is_gone_was_killed(folders, dead, alive):
    old = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    elsewhere = {"host": "another", "space": ""}
    folders.write("dead", process=dead, status="RUNNING")
    folders.write("alive", process=alive, status="RUNNING")
    stale = folders.write("stale", process=elsewhere, status="RUNNING", starts=[{"started": old}])
    (stale / ".heartbeat").write_text("1000.0\n")
    new = datetime.now(UTC).isoformat()
    folders.write("beating", process=elsewhere, status="RUNNING", starts=[{"started": new}])
    states = {entry.name: entry.state for entry in index(found([str(folders.root)]))}
    assert states == {"dead": "KILLED", "alive": "RUNNING", "stale": "KILLED", "beating": "RUNNING"}


def test_a_failed_run_has_its_error_and_log(folders):
    error = {"type": "RuntimeError", "message": "out of\nmemory", "traceback": "…"}
    folder = folders.write("a", status="FAILED", error=error)
    (entry,) = index([folder])
    assert (entry.state, entry.problem, entry.log) == ("FAILED", "RuntimeError: out of memory", folder / "train.log")


def test_numbers_that_json_has_no_words_for(folders):
    (entry,) = index([folders.write("a", metrics={"val/loss": "NaN", "note": "text", "test/accuracy": 1})])
    assert entry.metrics["test/accuracy"] == 1
    assert entry.metrics["val/loss"] != entry.metrics["val/loss"]
    assert "note" not in entry.metrics


def test_each_run_is_found_once(folders, monkeypatch):
    folders.write("day/sweep/0")
    folders.write("day/sweep/10")
    folders.write("day/sweep/2")
    folders.write("day/one")
    (folders.root / "day" / "sweep" / ".submitit").mkdir()
    (folders.root / "day" / "back").symlink_to(folders.root / "day")
    monkeypatch.chdir(folders.root)
    runs = found(["day/one", "day", "d*/sweep/*", str(folders.root)])
    assert [str(run) for run in runs] == ["day/one", "day/sweep/0", "day/sweep/2", "day/sweep/10"]
    assert names(runs) == ["one", "sweep/0", "sweep/2", "sweep/10"]
    assert found(["day/*/[0-9]"]) == runs[1:3]


@pytest.mark.parametrize("argument", ["nowhere", "no*thing", "outputs/run/train.log"])
def test_what_is_not_there_is_said(folders, monkeypatch, argument):
    folders.write("run")
    monkeypatch.chdir(folders.root.parent)
    with pytest.raises(UserError, match=r"nowhere|no\*thing|train.log"):
        found([argument])
