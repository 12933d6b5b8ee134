"""C17: a comparison of 1,000 run folders, against reading and parsing their files alone.

Folders as large as those of the demo: 90 settings, 220 metrics. Two hundred groups of five seeds, of which every
headline has its mean, spread, interval and tests; then the table, as `python compare.py DIR` does it.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from rich.console import Console

from bench.measure import Measured, side_by_side
from prospect.runs.compare.compared import compared
from prospect.runs.compare.find import folders
from prospect.runs.compare.index import index
from prospect.runs.compare.terminal import show
from prospect.runs.folder import Run

RUNS, SEEDS = 1000, 5
HEADLINES = ("test/dst/joint_goal_accuracy", "test/dst/transition_f1", "test/dialogue/f1", "test/speak/f1")


def measure() -> list[Measured]:
    with _runs() as root:

        def ours() -> None:
            comparison = compared(index(folders([str(root)])))
            assert len(comparison.groups) == RUNS // SEEDS
            assert len(comparison.tests) == (RUNS // SEEDS - 1) * len(HEADLINES)
            show(comparison, Console(file=io.StringIO(), width=100))

        def reading() -> None:
            for folder in root.iterdir():
                for name in ("run.json", "metrics.json"):
                    json.loads((folder / name).read_text())
                for name in ("config.yaml", ".hydra/overrides.yaml"):
                    yaml.load((folder / name).read_text(), yaml.CSafeLoader)  # a safe loader

        mine, alone = side_by_side(ours, reading, rounds=3)
    return [Measured("C17 compare 1,000 folders", mine / alone, 3.0, False, f"{mine:.2f} s against {alone:.2f} s")]


@contextmanager
def _runs() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        template = Path(place) / "template"
        with Run.start(template, {"seed": 0}, seed=0):
            pass
        root = Path(place) / "sweep"
        for number in range(RUNS):
            _write(template, root / str(number), *divmod(number, SEEDS))
        yield root


def _write(template: Path, folder: Path, group: int, seed: int) -> None:
    shutil.copytree(template, folder)
    facts = json.loads((folder / "run.json").read_text()) | {"seed": seed, "argv": ["train.py"]}
    (folder / "run.json").write_text(json.dumps(facts))
    blocks = {f"block_{n}": {f"setting_{m}": n * m / 8 for m in range(15)} for n in range(6)}
    config = {"seed": seed, "resume": None, "loss": {"weight": group / 4}, **blocks}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    metrics = {f"test/part/metric_{n}": (n * 7 + seed * 3 + group) % 11 / 11 for n in range(216)}
    metrics |= dict.fromkeys(HEADLINES, 0.5 + group / 1000 + seed * group % 7 / 100)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump([f"loss.weight={group / 4}", f"seed={seed}"]))
