"""Every command of the README is a command: it composes and checks here, and runs, made small, among the slow tests."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from prospect.runs.compose import compose
from prospect.runs.faults import Conf
from prospect.runs.signatures import of_callable

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
LINES = [line.strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
LIVE = [line for line in LINES if line.startswith("python -m prospect.streaming.live ")]
AUDITS = [line for line in LINES if line.startswith("python -m prospect.data.clips ")]
READERS = ("python compare.py ", "python -m prospect.evaluation.", "python -m prospect.runs.convert ")
AFTER = [line for line in LINES if line.startswith(READERS)]
SCRIPTS = [line for line in LINES if line.startswith("python ") and line not in (*AUDITS, *LIVE, *AFTER)]
STEPS = ["trainer.args.max_steps=3", "trainer.args.logging_steps=1"]
PICTURES = [*STEPS, "data.train=20", "data.val=5", "data.test=5"]
CLIPS = [*PICTURES, "data.captions_count=20", "data.dense_count=5"]
POLICY = ["trainer.args.per_device_train_batch_size=8", "trainer.args.max_completion_length=8"]
BEFORE = ["before.args.max_steps=3"]
USERS = [*STEPS, "data.samples=4", "data.train_users=11-14", "data.val_users=74"]


def small(line: str) -> list[str]:
    """What makes a command quick, but for what it says itself."""
    if "resume=" in line or "run=RUN" in line or "device=meta" in line or "encode" in line:
        return [word for word in CLIPS if "encode" in line and word.startswith("data.")]
    drawn = re.search("element|chats|preferences|path_vqa", line)
    asked = PICTURES if drawn else USERS if "users" in line else CLIPS
    asked = [*asked, *(POLICY if "grpo" in line else []), *(BEFORE if "path_vqa_grpo" in line else [])]
    asked = [*asked, *(["hydra.sweep.dir=sweep"] if " -m " in line else [])]
    return [word for word in asked if word.partition("=")[0] not in line]


def words_of(line: str) -> list[str]:
    """The root script and its words; `python -m prospect.data.encode` runs the root script of the same name."""
    words = shlex.split(line)[1:]
    return [f"{words[1].rpartition('.')[2]}.py", *words[2:]] if words[0] == "-m" else words


def named(line: str, **places: Path) -> str:
    for name, place in places.items():
        line = line.replace(name, str(place))
    return line


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = [line.split()[1] for line in LINES if line.startswith("make ")]
    assert {"train", "test"} <= set(targets)
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in targets)


@pytest.mark.parametrize("line", SCRIPTS)
def test_command_is_sound(line):
    script, *words = words_of(line)
    name = script.removesuffix(".py")
    main = getattr(importlib.import_module(name), name)
    overrides = [word for word in words if word != "-m" and not word.startswith("sweep.resume=")]
    assert (
        compose(
            Conf(ROOT / "conf", {"train": "config"}.get(name, name)), overrides, of_callable(main), "-m" in words
        ).mistakes
        == []
    )


@pytest.mark.slow
def test_commands_run_one_after_the_other(tmp_path):
    """`RUN` is what the first command leaves, `SWEEP` what the one with -m does; `CLIPS` holds the former's clips."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    run = tmp_path / "run"

    def done(*words: str) -> None:
        command = [sys.executable, str(ROOT / words[0]), *words[1:]]
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1200)
        assert result.returncode == 0, f"{words}: {result.stderr[-2000:]}"

    done("train.py", *CLIPS, f"hydra.run.dir={run}", "data.folder=clips")
    done("train.py", "data=element_demo", *PICTURES, "data.folder=pictures")
    for line in SCRIPTS:
        if re.search("smolvlm2|nanovlm|2b", line) and "device=meta" not in line:
            continue  # published weights
        words = words_of(named(line, RUN=run, FEATURES=tmp_path / "features", SWEEP=tmp_path / "sweep"))
        done(*words, *small(line))
    old = tmp_path / "old.yaml"
    old.write_text(
        "training_type: sft\nmodel: {model_name_or_path: lusxvr/nanoVLM-230M-8k}\n"
        "dataset: {train_data_path: somebody/pictures}\ntraining: {warmup_ratio: 0.1}\n"
    )
    for line in AFTER:
        line = named(line, RUN=run, SWEEP=tmp_path / "sweep", OLD=old)
        words = shlex.split(line.replace("compare.py", f"{ROOT}/compare.py"))
        assert subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, env=environment, timeout=60).returncode == 0
    for line in LIVE:
        words = shlex.split(named(line, RUN=run, PICTURES=tmp_path / "pictures" / "images"))
        assert subprocess.run([sys.executable, *words[1:]], env=environment, timeout=120).returncode == 0
    for line in AUDITS:
        words = shlex.split(named(line, CLIPS=tmp_path / "clips", FOLDER=tmp_path / "clips"))
        assert subprocess.run([sys.executable, *words[1:]], env=environment, timeout=60).returncode == 0
