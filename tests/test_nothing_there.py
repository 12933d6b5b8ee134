"""Claims, by the root scripts: a clip without frames, an empty split and a video in which nothing happens end in a
clear message or in defined numbers, never in a traceback or in NaN."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.data.conftest import Clips

ROOT = Path(__file__).parent.parent
SHORT = ["trainer.args.max_steps=2", "trainer.args.warmup_steps=0", "watch.speak_tokens=6", "watch.dst_tokens=12"]
UNSEEN = "trainer.args.eval_strategy=no"


def python(script: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / script), *words]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert "Traceback" not in done.stderr
    return done


def refused(*words: str, cwd: Path) -> str:
    done = python(*words, cwd=cwd)
    assert done.returncode == 2, done.stderr[-3000:]
    return done.stderr


@pytest.fixture
def clips(tmp_path) -> Clips:
    (tmp_path / "clips").mkdir()
    return Clips(tmp_path / "clips")


def data(clips: Clips) -> list[str]:
    return ["data=assembly101_dst", f"data.folder={clips.write()}"]


def trained(clips: Clips, *words: str) -> tuple[dict[str, float], Path, str]:
    """The numbers of a run that went through, each of them finite, its folder, and what it said."""
    cwd = clips.folder.parent
    done = python("train.py", *data(clips), *SHORT, *words, "hydra.run.dir=run", cwd=cwd)
    assert done.returncode == 0, done.stderr[-3000:]
    return numbers(cwd / "run"), cwd / "run", done.stdout + done.stderr


def numbers(folder: Path) -> dict[str, float]:
    """Strict JSON, in which NaN would be a text."""
    for file in [folder / "run.json", *folder.glob("predictions/*.jsonl"), *folder.glob("thresholds.json")]:
        for line in file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]:
            json.loads(line, parse_constant=lambda name, file=file: pytest.fail(f"{name} in {file}"))
    found = json.loads((folder / "metrics.json").read_text())
    assert [key for key, value in found.items() if isinstance(value, str) or not math.isfinite(value)] == []
    assert (folder / "report.html").is_file()
    return found


# --- a clip without frames


def test_every_clip_without_frames_or_words_is_named(clips, tmp_path):
    names = ("no_store", "no_frames", "short", "no_words")
    no_store, no_frames, _, no_words = clips.splits["test"] = [clips.clip(name) for name in names]
    (clips.folder / no_store["frames_file"]).unlink()
    no_frames.update(start_frame_idx=10, end_frame_idx=10)
    clips.store("short", 20)  # the clip goes on to frame 30
    no_words["conversation"] = no_words["conversation"][:1]
    said = refused("train.py", *data(clips), cwd=tmp_path)
    assert "4 errors (data.on_bad=skip leaves these clips out)" in said
    told = {
        0: "there is no frame store",
        1: "frames 10 to 10: the end is exclusive and must lie after the start",
        2: "20 frames",
        3: "nobody says anything and nothing changes",
    }
    for place, what in told.items():
        (line,) = [line for line in said.splitlines() if f"test_training.json[{place}]" in line]
        assert what in line
    said = refused("evaluate.py", *data(clips), "data.on_bad=skip", cwd=tmp_path)
    assert "split=test: assembly101_dst has no samples there; it has some in train, val" in said


# --- empty splits


@pytest.mark.slow
def test_without_val_training_says_what_to_set_and_then_thresholds_are_one_half(clips, tmp_path):
    clips.splits["val"] = []
    assert f"set {UNSEEN}" in refused("train.py", *data(clips), *SHORT, "hydra.run.dir=refused", cwd=tmp_path)
    metrics, folder, said = trained(clips, UNSEEN)
    assert (metrics["test/speak/threshold"], metrics["test/dst/threshold"]) == (0.5, 0.5)
    assert "test/dialogue/f1" in metrics
    assert not [key for key in metrics if key.startswith("val/")]
    assert json.loads((folder / "thresholds.json").read_text())["chosen_on"] is None
    assert "val has no samples: it is not scored" in said
    assert "val has no samples: thresholds of decisions are one half" in said


@pytest.mark.slow
def test_without_any_split_to_score_training_still_ends(clips, tmp_path):
    clips.splits |= {"val": [], "test": []}
    metrics, folder, said = trained(clips, UNSEEN)
    assert metrics.keys() == {"train/steps", "train/seconds"}
    assert "test has no samples: it is not scored" in said
    assert "split=test: assembly101_dst has no samples there" in refused("evaluate.py", f"run={folder}", cwd=tmp_path)


# --- a video in which nothing happens


def test_a_video_without_references_has_defined_numbers(clips):
    (clip,) = clips.splits["test"]
    clip["conversation"] = [each for each in clip["conversation"] if each["role"] in ("system", "user")]
    metrics, folder, _ = trained(clips)
    for name in ("speak", "dst"):
        assert [metrics[f"test/{name}/{rate}"] for rate in ("precision", "recall", "f1", "ap")] == [0] * 4
    assert metrics["test/dialogue/recall"] == metrics["test/dialogue/f1"] == metrics["test/dst/transition_f1"] == 0
    assert metrics["test/silent/dst/joint_goal_accuracy"] == 1
    assert 0 <= metrics["test/dst/joint_goal_accuracy"] <= 1
    assert "test/token_accuracy" not in metrics  # nothing was to be written
    assert "val/token_accuracy" in metrics
    page = (folder / "report.html").read_text()
    assert "NaN<" not in page


@pytest.mark.slow
def test_pictures_without_val_and_test(tmp_path):
    words = ["data=element_demo", "data.train=10", "data.val=0", "data.test=0", *SHORT[:2], UNSEEN]
    done = python("train.py", *words, "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert numbers(tmp_path / "run").keys() == {"train/steps", "train/seconds"}
