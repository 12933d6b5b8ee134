"""The command line: what is printed and written, exit codes, slips, and what is not imported."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from prospect.runs.compare.command import main

ROOT = Path(__file__).parents[3]
WEIGHTS = [{"loss.weight": weight} for weight in (1.0, 0.5, 2.0)]


@pytest.fixture
def sweep(folders, dead):
    root = folders.sweep("sweep", WEIGHTS)
    error = {"type": "RuntimeError", "message": "it | broke", "traceback": ""}
    folders.write("sweep/9", 3, WEIGHTS[0], status="FAILED", error=error)
    folders.write("sweep/10", 3, WEIGHTS[1], status="RUNNING", process=dead)
    (root / "11").mkdir()
    return root


def test_the_terminal_says_it_all_in_100_columns(sweep, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    assert main([str(sweep), "baseline=weight=1"]) == 0
    said = capsys.readouterr().out
    assert "12 runs: 9 DONE, 1 FAILED, 1 KILLED, 1 BROKEN" in said
    assert "0.713 ± 0.014" in said
    assert "weight=1.0 (baseline)" in said
    assert "FAILED sweep/9: RuntimeError: it | broke" in said
    assert str(sweep / "9" / "train.log") in said
    assert "BROKEN sweep/11: the folder is empty" in said
    assert "0.5, 1.0, 2.0" in said
    assert "best sweep/8" in said
    assert "python train.py seed=2" in said
    paths = (str(sweep.parent), "again")
    assert all(len(line) <= 100 for line in said.splitlines() if not any(part in line for part in paths))


def test_a_long_name_is_shown_whole(folders, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    long = "a_setting_with_a_name_that_is_as_long_as_the_longest_ones"
    values = ((1.25, 1), (1.25, 2), (2.5, 1))
    folders.sweep("sweep", [{f"loss.{long}": value, f"model.{long}_too": other} for value, other in values])
    assert main([str(folders.root)]) == 0
    assert not re.search(r"\w…", capsys.readouterr().out)  # an interval has blanks around it


def test_the_files_hold_every_run(sweep, tmp_path, capsys):
    files = {name: tmp_path / "out" / f"all.{name}" for name in ("json", "csv", "md")}
    assert main([str(sweep), *(word for name, path in files.items() for word in (f"--{name}", str(path)))]) == 0
    told = json.loads(files["json"].read_text())
    assert len(told["entries"]) == 12
    assert {run for group in told["groups"] for run in group["runs"]} == {e["name"] for e in told["entries"]} - {
        "sweep/11"
    }
    assert told["groups"][0]["metrics"]["test/accuracy"]["by_seed"]["2"] == 0.728
    rows = list(csv.DictReader(io.StringIO(files["csv"].read_text())))
    assert [row["state"] for row in rows] == [entry["state"] for entry in told["entries"]]
    assert rows[0]["loss.weight"] == "1.0"
    assert float(rows[0]["test/accuracy"]) == 0.5
    assert rows[11]["loss.weight"] == rows[11]["group"] == ""
    assert "| FAILED | sweep/9 | RuntimeError: it \\| broke |" in files["md"].read_text()


def test_one_file_may_be_standard_output(sweep, capsys):
    assert main([str(sweep), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["baseline"] == "weight=0.5"
    assert main([str(sweep), "--json", "-", "--csv", "-"]) == 2


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("test/accuracy<0.4", 0),
        ("test/accuracy<0.55", 3),
        ("test/accuracy>=0.7", 3),
        ("test/accuracy > 0.72", 0),
        ("test/acuracy<1", 2),
        ("test/accuracy", 2),
        ("test/accuracy<high", 2),
        ("test/accuracy=1", 2),
    ],
)
def test_a_condition_decides_the_exit_code(sweep, condition, code, capsys):
    assert main([str(sweep), "--fail-if", "test/accuracy<-1", "--fail-if", condition]) == code
    err = capsys.readouterr().err
    assert ("failed: weight=" in err) == (code == 3)
    if condition == "test/acuracy<1":
        assert "did you mean test/accuracy" in err


@pytest.mark.parametrize("metrics", [{"test/accuracy": "NaN"}, {"test/loss": 1.0}])
def test_what_is_not_a_number_or_not_there_meets_a_condition(folders, metrics, capsys):
    folders.sweep("sweep", WEIGHTS[:1])
    folders.write("odd", config={"loss.weight": 7.0}, metrics=metrics)
    assert main([str(folders.root), "--fail-if", "test/accuracy<0.1"]) == 3
    assert "weight=7.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["metrics=x"], "metrics=x: no such word; did you mean metric=x?"),
        (["--jsn", "x"], "--jsn: no such flag; did you mean --json?"),
        (["pairs=smaples"], "pairs=smaples: one of seeds, samples"),
        (["nowhere"], "nowhere: there is no such folder"),
        (["--json"], "expected one argument"),
    ],
)
def test_a_slip_is_answered(sweep, words, answer, capsys):
    assert main([str(sweep), *words]) == 2
    assert answer in capsys.readouterr().err


def test_no_folder_is_a_slip_as_well(capsys):
    assert main([]) == 2
    assert "give run folders" in capsys.readouterr().err


def test_results_are_never_overwritten(sweep, capsys):
    before = (sweep / "0" / "metrics.json").read_bytes()
    assert main([str(sweep), "--json", str(sweep / "0" / "metrics.json")]) == 2
    assert (sweep / "0" / "metrics.json").read_bytes() == before
    assert "stays untouched" in capsys.readouterr().err


def test_neither_torch_nor_hydra_nor_scipy_is_imported(sweep):
    code = (
        "import sys; from prospect.runs.compare.command import main; main(sys.argv[1:]); "
        "heavy = {'torch', 'transformers', 'hydra', 'omegaconf', 'scipy', 'jinja2', 'matplotlib'} & set(sys.modules); "
        "print('heavy', sorted(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(sweep), "metric=val/x"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert "no run has such a metric" in done.stderr
    assert "heavy []" in done.stdout
