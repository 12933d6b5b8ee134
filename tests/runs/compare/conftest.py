"""Run folders by the dozen: one is written by a true run, the others are copies of it with other facts."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from prospect.runs.folder import Run

CONFIG = {
    "seed": 0,
    "resume": None,
    "model": {"_target_": "prospect.models.tiny.tiny", "seed": 0, "grid": [1, 1], "path": None},
    "loss": {"name": "dst", "weight": 1.0},
    "trainer": {"rates": {}, "args": {"max_steps": 10}},
}
DEAD = 2**22 + 1  # above what Linux gives to any process


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "run"
    with Run.start(folder, CONFIG, seed=0, command=["python", "train.py"]):
        pass
    return folder


class Folders:
    """`folders.write("a", seed=1, config={"loss.weight": 2.0}, metrics={…}, status="FAILED")`"""

    def __init__(self, root: Path, template: Path) -> None:
        self.root, self.template = root, template

    def write(self, name, seed=0, config=None, metrics=None, process=None, overrides=(), **facts) -> Path:
        folder = self.root / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.template, folder)
        told = json.loads((folder / "run.json").read_text())
        told |= {"seed": seed, "argv": ["train.py"], "cwd": str(self.root), **facts}
        told["process"] |= process or {}
        (folder / "run.json").write_text(json.dumps(told))
        (folder / "train.log").write_text("it went on\n")
        self.describe(folder, {"seed": seed, "model.seed": seed, **(config or {})})
        if metrics is not None:
            (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / ".hydra").mkdir()
        (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump([*overrides, f"seed={seed}"]))
        return folder

    def describe(self, folder: Path, changes) -> None:
        nested = json.loads(json.dumps(CONFIG))
        for key, value in changes.items():
            *above, last = key.split(".")
            place = nested
            for part in above:
                place = place.setdefault(part, {})
            if value is ...:
                del place[last]
            else:
                place[last] = value
        (folder / "config.yaml").write_text(yaml.safe_dump(nested))

    def sweep(self, name, settings, seeds=3, metric="test/accuracy"):
        """Two settings and more, each over the seeds, with numbers that differ a little."""
        for number, setting in enumerate(settings):
            for seed in range(seeds):
                value = 0.5 + 0.1 * number + 0.01 * seed + 0.001 * number * seed**2
                self.write(f"{name}/{number * seeds + seed}", seed, setting, {metric: value})
        return self.root / name


@pytest.fixture
def folders(tmp_path, template) -> Folders:
    return Folders(tmp_path / "outputs", template)


@pytest.fixture
def dead() -> dict:
    return {"pid": DEAD, "born": "1"}


@pytest.fixture
def alive(template) -> dict:
    """This very process, which is the one that wrote the template."""
    return {"pid": os.getpid()}
