"""One run, one folder: claims under competition, what became of a run, signs of life, files whole or absent."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from prospect.disk import write_atomically
from prospect.errors import Stopped, UserError
from prospect.runs import claim, folder, provenance, redact
from prospect.runs.folder import Run, read, state
from prospect.runs.strict_json import to_json

SOURCE = str(Path(__file__).parents[2] / "src")
CONFIG = {"model": {"hidden": 8, "rate": 1e-5, "name": "1e-5"}, "seed": 3}


@pytest.fixture(autouse=True)
def alone(monkeypatch) -> Iterator[None]:
    """No rank from outside, no secrets from the test before, and log handlers as they were."""
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(redact, "_remembered", set())
    handlers = {handler: list(handler.filters) for handler in logging.getLogger().handlers}
    yield
    for handler, filters in handlers.items():
        handler.filters = filters


def raw(place: Path) -> dict:
    return json.loads((place / "run.json").read_text())


@contextmanager
def failed(run: Run, error: Exception) -> Iterator[Run]:
    """A run that fails at the end of the block."""
    with suppress(type(error)), run:
        yield run
        raise error


def elsewhere(place: Path, **changes: object) -> None:
    """As if the run had been started on another host."""
    facts = raw(place)
    facts["process"] |= {"host": "another", "space": "of its own"}
    (place / "run.json").write_text(json.dumps({**facts, **changes}))


# --- what a run leaves


def test_a_finished_run(tmp_path):
    place = tmp_path / "outputs" / "a"
    with Run.start(place, CONFIG, seed=3, command=["python", "train.py", "a b=1"]) as run:
        assert run.is_main
        assert run.folder == place
        assert state(place) == "RUNNING"
        assert read(place)["alive"]
        run.record(data={"fingerprint": "ab"}, extra=np.float32(0.5))
        with run.time("train"):
            time.sleep(0.02)
        with run.time("train"):
            time.sleep(0.02)
    facts = raw(place)
    assert facts["status"] == state(place) == "DONE"
    assert facts["error"] is None
    assert facts["command"] == "python train.py 'a b=1'"
    assert facts["seed"] == 3
    assert (facts["data"], facts["extra"]) == ({"fingerprint": "ab"}, 0.5)
    assert 0.04 <= facts["timings"]["train"] <= facts["timings"]["run"] < 30
    assert facts["started"] <= facts["ended"]
    assert facts["started"].endswith("+00:00")
    assert facts["pid"] == os.getpid()
    assert facts["versions"]["omegaconf"]
    assert facts["hardware"]["cores"]
    assert [start["status"] for start in facts["starts"]] == ["DONE"]
    assert OmegaConf.to_container(OmegaConf.load(place / "config.yaml")) == CONFIG
    assert not (place / ".heartbeat").exists()
    assert not list(place.glob(".*.*-*"))  # no staging file is left behind


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("boom"), "FAILED"),
        (UserError("data.folder is empty"), "FAILED"),
        (Stopped("SIGTERM"), "INTERRUPTED"),
        (KeyboardInterrupt(), "INTERRUPTED"),
        (SystemExit(3), "FAILED"),
        (SystemExit(0), "DONE"),
    ],
)
def test_what_became_of_it(tmp_path, error, status):
    with pytest.raises(type(error)), Run.start(tmp_path / "a", {}, 0):
        raise error
    facts = raw(tmp_path / "a")
    assert facts["status"] == facts["starts"][0]["status"] == status
    if status != "DONE":
        assert facts["error"]["type"] == type(error).__name__
        assert facts["error"]["message"] == str(error)
        assert "raise error" in facts["error"]["traceback"]


def test_a_long_traceback_keeps_its_last_lines(tmp_path):
    def deeper(depth: int) -> None:
        if depth == 0:
            raise RuntimeError("at the bottom")
        (deeper if depth % 2 else lambda d: deeper(d))(depth - 1)

    with pytest.raises(RuntimeError), Run.start(tmp_path / "a", {}, 0):
        deeper(100)
    lines = raw(tmp_path / "a")["error"]["traceback"].splitlines()
    assert len(lines) == folder.TRACEBACK_LINES
    assert lines[-1] == "RuntimeError: at the bottom"


def test_no_secret_in_any_file(tmp_path, monkeypatch):
    place = tmp_path / "sweep" / "0"
    (place / ".hydra").mkdir(parents=True)
    (place / ".hydra" / "overrides.yaml").write_text("- hub_token=opensesame\n")
    (place.parent / "multirun.yaml").write_text("hydra: {overrides: {task: [hub_token=opensesame]}}\n")
    monkeypatch.setattr(sys, "argv", ["train.py", "hub_token=opensesame"])
    monkeypatch.setenv("WANDB_API_KEY", "open-barley")
    handler = logging.FileHandler(place / "train.log")
    logging.getLogger().addHandler(handler)
    try:
        run = Run.start(place, {"hub_token": "opensesame"}, 0, command=["train.py", "hub_token=opensesame"])
        with failed(run, OSError("401 for opensesame and open-barley")):
            run.record(data={"source": "https://opensesame@hub"})
            run.write_json("metrics.json", {"note": "open-barley"})
            run.write_text("predictions/test.jsonl", '{"text": "opensesame, token: water, token=fire"}\n')
            logging.getLogger("x").warning("with opensesame")
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"overrides.yaml", "multirun.yaml", "run.json", "config.yaml", "train.log"} <= {file.name for file in files}
    for file in files:
        assert "opensesame" not in file.read_text(), file
        assert "open-barley" not in file.read_text(), file
    assert "token: water, token=fire" in (place / "predictions" / "test.jsonl").read_text()  # an answer keeps its words


def test_numbers_that_json_has_not(tmp_path):
    with Run.start(tmp_path / "a", {}, 0) as run:
        run.write_json(
            "m.json", {"a": float("nan"), "b": [np.float32("inf"), -np.inf], "c": np.int64(3), 4: (True, None)}
        )
    text = (tmp_path / "a" / "m.json").read_text()
    expected = {"a": "NaN", "b": ["Infinity", "-Infinity"], "c": 3, "4": [True, None]}
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == expected


def test_what_has_no_place_in_json_leaves_the_old_file(tmp_path):
    with Run.start(tmp_path / "a", {}, 0) as run:
        run.write_json("m.json", {"a": 1})
        with pytest.raises(TypeError, match="object"):
            run.write_json("m.json", {"a": object()})
    assert json.loads((tmp_path / "a" / "m.json").read_text()) == {"a": 1}


def test_nothing_is_written_outside(tmp_path):
    with Run.start(tmp_path / "a", {}, 0) as run, pytest.raises(AssertionError, match="outside"):
        run.write_text("../b.txt", "x")


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    file = tmp_path / "a.json"
    write_atomically(file, "old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(file, "new and longer")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.json", "old")]


def test_a_full_disk_at_the_end_hides_no_error(tmp_path, monkeypatch):
    def full(*args: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    def block() -> None:
        with Run.start(tmp_path / "a", {}, 0):
            monkeypatch.setattr(folder, "write_atomically", full)
            raise RuntimeError("the cause")

    with pytest.raises(RuntimeError, match="the cause"):
        block()
    monkeypatch.undo()
    assert raw(tmp_path / "a")["status"] == "RUNNING"


# --- whose a folder is


@pytest.mark.parametrize("error", [None, RuntimeError("boom")])
def test_a_taken_folder_is_refused_and_untouched(tmp_path, error):
    run = Run.start(tmp_path / "a", CONFIG, 0)
    with failed(run, error) if error else run:
        run.write_text("x", "x")
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in (tmp_path / "a").rglob("*")}
    status = "FAILED" if error else "DONE"
    with pytest.raises(UserError, match=rf"{tmp_path}/a holds a run \({status}\).*resume=.*hydra.run.dir"):
        Run.start(tmp_path / "a", {}, 0)
    assert before == {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in (tmp_path / "a").rglob("*")}


def test_a_check_beforehand_says_the_same(tmp_path):
    claim.check(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    with Run.start(tmp_path / "a", {}, 0):
        pass
    with pytest.raises(UserError, match="holds a run"):
        claim.check(tmp_path / "a")
    claim.check(tmp_path / "a", resume=True)


def test_bad_places(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        Run.start(tmp_path / "file", {}, 0)
    with pytest.raises(UserError, match="cannot be written: Not a directory"):
        Run.start(tmp_path / "file" / "below", {}, 0)
    with pytest.raises(UserError, match="no run folder"):
        Run.start(tmp_path / "none", {}, 0, resume=True)
    assert not (tmp_path / "none").exists()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "run.json").write_text('{"status": "RUN')
    with pytest.raises(UserError, match="not complete JSON"):
        Run.start(tmp_path / "half", {}, 0)
    with pytest.raises(UserError, match="not complete JSON"):
        Run.start(tmp_path / "half", {}, 0, resume=True)


def race(place: Path, number: int, resume: bool, gate, results) -> None:
    gate.wait()
    try:
        with Run.start(place, {}, 0, resume=resume):
            results.put((number, "won"))
            time.sleep(1.5)  # longer than the slowest of the others needs to try
    except UserError as error:
        results.put((number, str(error)))


def compete(places: list[Path], resume: bool = False) -> list[str]:
    many = multiprocessing.get_context("fork")
    gate, results = many.Barrier(len(places)), many.Queue()
    racers = [many.Process(target=race, args=(place, n, resume, gate, results)) for n, place in enumerate(places)]
    for racer in racers:
        racer.start()
    answers = [results.get(timeout=60)[1] for _ in racers]
    for racer in racers:
        racer.join(60)
    assert [racer.exitcode for racer in racers] == [0] * len(racers)
    return answers


@pytest.mark.parametrize("looks_first", [True, False])
def test_of_twenty_processes_one_gets_the_folder(tmp_path, monkeypatch, looks_first):
    if not looks_first:  # as if all of them had looked before the first one was there
        monkeypatch.setattr(claim, "check", lambda place, resume=False: None)
    answers = compete([tmp_path / "a"] * 20)
    assert answers.count("won") == 1
    assert sum("hydra.run.dir" in answer for answer in answers) == 19
    assert raw(tmp_path / "a")["status"] == "DONE"


def test_twenty_folders_for_twenty_processes(tmp_path):
    assert compete([tmp_path / str(n) for n in range(20)]) == ["won"] * 20


def test_of_twenty_resumes_one_goes_on(tmp_path):
    with Run.start(tmp_path / "a", {}, 0):
        pass
    answers = compete([tmp_path / "a"] * 20, resume=True)
    assert answers.count("won") == 1
    assert sum("still being written by process" in answer for answer in answers) == 19
    assert [start["status"] for start in raw(tmp_path / "a")["starts"]] == ["DONE", "DONE"]


# --- life and death


def start_and_hang(place: Path) -> subprocess.Popen:
    code = (
        "import sys, time; from pathlib import Path; from prospect.runs.folder import Run\n"
        "with Run.start(Path(sys.argv[1]), {'n': 1}, 0) as run:\n"
        "    run.record(data={'n': 5}); print('ready', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(place)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": SOURCE}
    )
    assert child.stdout
    assert child.stdout.readline() == b"ready\n"
    return child


def test_a_killed_run_is_known_as_dead_and_can_be_resumed(tmp_path):
    place = tmp_path / "a"
    child = start_and_hang(place)
    try:
        assert state(place) == "RUNNING"
        with pytest.raises(UserError, match=f"still being written by process {child.pid}"):
            Run.start(place, {}, 0, resume=True)
        with pytest.raises(UserError, match="is RUNNING, written by process"):
            Run.start(place, {}, 0)
    finally:
        child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, though its parent has not collected it yet
    assert raw(place)["status"] == "RUNNING"
    assert state(place) == "KILLED"
    assert not read(place)["alive"]
    child.communicate()
    assert state(place) == "KILLED"
    with Run.start(place, {"n": 2}, 7, resume=True, command=["again"]):
        assert state(place) == "RUNNING"
    facts = raw(place)
    assert [start["status"] for start in facts["starts"]] == ["KILLED", "DONE"]
    assert facts["starts"][0]["ended"] >= facts["starts"][0]["started"]
    assert (facts["status"], facts["command"], facts["seed"], facts["data"]) == ("DONE", "again", 7, {"n": 5})
    assert facts["started"] == facts["starts"][0]["started"]
    assert OmegaConf.load(place / "config.yaml") == {"n": 2}
    assert OmegaConf.load(place / "config.start-1.yaml") == {"n": 1}


def test_a_run_ended_by_ctrl_c(tmp_path):
    child = start_and_hang(tmp_path / "a")
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=30)
    assert state(tmp_path / "a") == "INTERRUPTED"


def test_a_resumed_run_forgets_the_error_and_goes_on_counting(tmp_path):
    with failed(Run.start(tmp_path / "a", CONFIG, 0), RuntimeError("boom")) as run, run.time("train"):
        time.sleep(0.05)
    first = raw(tmp_path / "a")["timings"]["train"]
    with Run.start(tmp_path / "a", CONFIG, 0, resume=True) as run, run.time("train"):
        pass
    facts = raw(tmp_path / "a")
    assert facts["error"] is None
    assert facts["starts"][0]["error"]["message"] == "boom"
    assert facts["timings"]["train"] >= first
    assert not (tmp_path / "a" / "config.start-1.yaml").exists()  # nothing changed


def test_another_process_with_the_same_pid_is_another_process(tmp_path):
    with Run.start(tmp_path / "a", {}, 0):
        facts = raw(tmp_path / "a")
        facts["process"]["born"] = "1"
        (tmp_path / "a" / "run.json").write_text(json.dumps(facts))
        assert state(tmp_path / "a") == "KILLED"


def test_on_another_host_the_heartbeat_counts(tmp_path, monkeypatch):
    place = tmp_path / "a"
    with Run.start(place, {}, 0) as run:
        elsewhere(place)
        assert state(place) == "RUNNING"
        with pytest.raises(UserError, match="on another: wait for it"):
            claim.check(place, resume=True)
        long_ago = time.time() - claim.STALE - 20
        (place / ".heartbeat").write_text(f"{long_ago}\n")
        started = [{**raw(place)["starts"][0], "started": "2020-01-01T00:00:00+00:00"}]
        elsewhere(place, starts=started)
        assert state(place) == "KILLED"
        claim.check(place, resume=True)
        run.record()
    assert state(place) == "DONE"


def test_the_heart_beats_and_stops(tmp_path, monkeypatch):
    monkeypatch.setattr(claim, "BEAT", 0.02)
    with Run.start(tmp_path / "a", {}, 0) as run:
        beat = tmp_path / "a" / ".heartbeat"
        seen = set()
        deadline = time.monotonic() + 10
        while len(seen) < 3 and time.monotonic() < deadline:
            seen.add(beat.stat().st_mtime_ns)
            time.sleep(0.01)
        assert len(seen) == 3
    assert not run._heart.is_alive()
    assert not beat.exists()


def test_a_beat_that_is_late_does_not_outlive_the_run(tmp_path, monkeypatch):
    began = threading.Event()
    beat = claim.beat

    def slow(place: Path) -> None:
        began.set()
        time.sleep(0.2)
        beat(place)

    monkeypatch.setattr(claim, "BEAT", 0.01)
    with Run.start(tmp_path / "a", {}, 0):
        monkeypatch.setattr(claim, "beat", slow)
        assert began.wait(10)
    time.sleep(0.3)
    assert not (tmp_path / "a" / ".heartbeat").exists()


def test_a_heart_survives_a_full_disk(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(claim, "BEAT", 0.01)
    with Run.start(tmp_path / "a", {}, 0) as run:

        def full(place: Path) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(claim, "beat", full)
        deadline = time.monotonic() + 10
        while "no sign of life" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "No space left" in caplog.text
        assert run._heart.is_alive()


# --- several ranks


def rank_one(place: Path, monkeypatch, patience: float = 0.3) -> Run:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(folder, "PATIENCE", patience)
    return Run.start(place, {"hub_token": "opensesame"}, 0)


def test_other_ranks_write_nothing(tmp_path, monkeypatch):
    place = tmp_path / "a"
    with Run.start(place, {}, 0):
        before = {file: file.stat().st_mtime_ns for file in place.rglob("*")}
        with rank_one(place, monkeypatch) as run:
            assert not run.is_main
            assert run.folder == place
            run.record(x=1)
            run.write_json("metrics.json", {})
            run.write_text("predictions/a", "x")
            with run.time("train"):
                pass
        assert before == {file: file.stat().st_mtime_ns for file in place.rglob("*")}
        assert state(place) == "RUNNING"


def test_other_ranks_wait_for_rank_0(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="rank 0 has not claimed"):
        rank_one(tmp_path / "a", monkeypatch)
    assert not (tmp_path / "a").exists()


def test_a_rank_that_comes_after_a_tiny_run_is_done_is_not_kept_waiting(tmp_path, monkeypatch):
    with Run.start(tmp_path / "a", {}, 0):
        pass
    with rank_one(tmp_path / "a", monkeypatch) as run:
        assert not run.is_main


def test_an_older_run_is_not_taken_for_rank_0s(tmp_path, monkeypatch):
    with Run.start(tmp_path / "a", {}, 0):
        pass
    facts = raw(tmp_path / "a")
    facts["process"]["parent"] = 1_000_000
    (tmp_path / "a" / "run.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match="rank 0 has not claimed"):
        rank_one(tmp_path / "a", monkeypatch)


# --- provenance in the folder


def test_the_diff_of_a_changed_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "git", lambda: {"commit": "abc", "branch": "b", "dirty": True, "untracked": 0})
    monkeypatch.setattr(provenance, "diff", lambda: "+token=f(x)  # Gr\udcfcn hf_" + "aB3" * 11 + "\n")
    with Run.start(tmp_path / "a", {}, 0):
        pass
    assert (tmp_path / "a" / "git.diff").read_bytes() == b"+token=f(x)  # Gr\xfcn ***\n"
    monkeypatch.setattr(provenance, "git", lambda: {"commit": "abd", "branch": "b", "dirty": False, "untracked": 0})
    with Run.start(tmp_path / "a", {}, 0, resume=True):
        pass
    assert not (tmp_path / "a" / "git.diff").exists()
    assert (tmp_path / "a" / "git.start-1.diff").exists()
    assert [start["commit"] for start in raw(tmp_path / "a")["starts"]] == ["abc", "abd"]


def test_without_git_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "git", lambda: None)
    with Run.start(tmp_path / "a", {}, 0):
        pass
    assert raw(tmp_path / "a")["git"] is None


def test_a_start_that_breaks_after_the_claim_says_so(tmp_path, monkeypatch):
    def broken() -> None:
        raise RuntimeError("no versions")

    monkeypatch.setattr(provenance, "versions", broken)
    with pytest.raises(RuntimeError, match="no versions"):
        Run.start(tmp_path / "a", {}, 0)
    assert state(tmp_path / "a") == "FAILED"


def test_sets_and_paths_in_json():
    assert json.loads(to_json({"a": {"y", "x"}, "p": Path("a/b")})) == {"a": ["x", "y"], "p": "a/b"}
