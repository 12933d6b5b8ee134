from __future__ import annotations

import io
import json
from types import SimpleNamespace

from PIL import Image
from rich.console import Console

from prospect.runs.folder import Run
from prospect.runs.results import class_table, write_results

RATES = {f"class/{label}/{name}": 0.5 for label in ("fire", "wood") for name in ("precision", "recall", "f1")}
SCORED = SimpleNamespace(
    metrics={"accuracy": 0.75, "macro_f1": 0.7, **RATES},
    predictions=[{"id": "a", "label": "fire", "prediction": None, "text": "水 <b>", "correct": False}],
    confusion={"labels": ["fire", "wood"], "columns": ["fire", "wood", "(none)"], "matrix": [[7, 0, 1], [0, 8, 0]]},
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
