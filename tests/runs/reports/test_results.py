from __future__ import annotations

import io
import json
from types import SimpleNamespace

from PIL import Image
from rich.console import Console

from prospect.runs.folder import Run
from prospect.runs.reports.results import class_table, write_results

RATES = {f"class/{label}/{name}": 0.5 for label in ("fire", "wood") for name in ("precision", "recall", "f1")}
SCORED = SimpleNamespace(
    metrics={"accuracy": 0.75, "macro_f1": 0.7, **RATES},
    headline=("accuracy", "macro_f1"),
    predictions=[{"id": "a", "label": "fire", "prediction": None, "text": "水 <b>", "correct": False}],
    confusion={"labels": ["fire", "wood"], "columns": ["fire", "wood", "(none)"], "matrix": [[7, 0, 1], [0, 8, 0]]},
    events=None,
    watched=None,
    thresholds=None,
)
EVENTS = [
    {"decision": "speak", "kind": "next", "called": 40, "of": 50, "recall": 0.8},
    {"decision": "speak", "kind": "false alarm", "called": 12, "of": 4000, "recall": 0.003},
]
STREAMS = SimpleNamespace(
    metrics={"speak/f1": 0.8125, "dst/f1": 0.9},
    headline=("speak/f1", "dst/f1"),
    predictions=[{"id": "a", "frames": 2, "speak": {"at": [1], "p": [0.1, 0.9]}}],
    confusion=None,
    events=EVENTS,
    watched=None,
    thresholds=None,
)


def test_a_folder_holds_all_results(tmp_path):
    with Run.start(tmp_path / "run", {}, seed=0) as run:
        write_results(run, {"val": SCORED, "test": SCORED}, {"train/steps": 3})
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test/accuracy"] == metrics["val/accuracy"] == 0.75
    assert metrics["train/steps"] == 3
    rows = (tmp_path / "run" / "predictions" / "test.jsonl").read_text().splitlines()
    assert json.loads(rows[0])["text"] == "水 <b>"
    assert json.loads((tmp_path / "run" / "confusion.json").read_text())["split"] == "test"
    with Image.open(tmp_path / "run" / "confusion.png") as drawn:
        assert drawn.width > 200


def test_the_table_fits_a_narrow_terminal():
    console = Console(file=io.StringIO(), width=80)
    console.print(class_table("test", SCORED))
    text = console.file.getvalue()
    assert "…" not in text
    assert "fire     7     ·       1      0.500   0.500  0.500" in text


def test_streams_leave_their_rates_by_kind_of_event(tmp_path, capsys):
    with Run.start(tmp_path / "run", {}, seed=0) as run:
        write_results(run, {"test": STREAMS})
    assert json.loads((tmp_path / "run" / "events.json").read_text()) == {"split": "test", "events": EVENTS}
    assert not (tmp_path / "run" / "confusion.json").exists()
    shown = capsys.readouterr().out
    assert "false alarm      12  4,000  0.003" in shown
    assert "test  speak/f1 0.812  dst/f1 0.900" in shown


def test_thresholds_stand_beside_what_they_give(tmp_path, capsys):
    rates = {"precision": 0.111, "recall": 0.222, "f1": 0.333, "ap": 0.444, "false_alarms": 0.055, "threshold": 0.666}
    metrics = {**STREAMS.metrics, **{f"speak/{key}": value for key, value in rates.items()}}
    with Run.start(tmp_path / "run", {}, seed=0) as run:
        write_results(run, {"val": SimpleNamespace(**{**vars(STREAMS), "metrics": metrics})})
    shown = " ".join(capsys.readouterr().out.split())
    assert "precision recall F1 AP false alarms θ speak val 0.111 0.222 0.333 0.444 0.055 0.666" in shown


def test_what_the_model_did_on_its_own_is_one_small_table(tmp_path, capsys):
    keys = ("dst/joint_goal_accuracy", "dst/transition_f1", "stream/speak/f1", "dialogue/f1", "dialogue/right_names")
    values = {
        split: {key: start + place / 100 for place, key in enumerate(keys)}
        for split, start in (("val", 0.7), ("test", 0.8))
    }
    rows = [{"id": "a", "said": [[3, "水"]]}]
    scored = {
        split: SimpleNamespace(
            **{
                **vars(STREAMS),
                "metrics": {
                    **STREAMS.metrics,
                    **values[split],
                    "silent/dst/joint_goal_accuracy": 0.1234,
                    "watched/clips": 1,
                },
                "watched": rows,
            }
        )
        for split in values
    }
    with Run.start(tmp_path / "run", {}, seed=0) as run:
        write_results(run, scored)
    assert json.loads((tmp_path / "run" / "predictions" / "val.watched.jsonl").read_text()) == rows[0]
    shown = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert lines[lines.index("watched freely") :] == [
        "watched freely",
        "val test",
        "joint goal accuracy (silence) (0.123) 0.700 (0.123) 0.800",
        "transition F1 0.710 0.810",
        "speak F1 0.720 0.820",
        "dialogue F1 0.730 0.830",
        "names right 0.740 0.840",
        "given the truth: speak/f1 0.812 0.812",
        "given the truth: dst/f1 0.900 0.900",
    ]
    assert max(map(len, shown.splitlines())) <= 80


def test_what_a_judge_failed_at_stands_before_its_mean(tmp_path, capsys):
    judged = {"watched/clips": 9, "judge/overall": 3.4567, "judge/judged": 7, "judge/failed": 2}
    failed = {"watched/clips": 9, "judge/judged": 0, "judge/failed": 9}
    with Run.start(tmp_path / "run", {}, seed=0) as run:
        splits = {"val": failed, "test": judged}
        write_results(
            run, {split: SimpleNamespace(**{**vars(STREAMS), "metrics": each}) for split, each in splits.items()}
        )
    assert "(failed) judge, overall of 5 (9) none (2) 3.457" in " ".join(capsys.readouterr().out.split())
