"""The root scripts as a user runs them: one run, one folder; killed, stopped, resumed, evaluated again."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.commands import ROOT, environment, python, trained

ELEMENTS = ["data=element_demo", "data.train=60", "data.val=20", "data.test=20"]
CLIPS = ["data.train=20", "data.val=5", "data.test=6", "data.captions_count=40", "data.dense_count=10"]
SMALL = [
    "trainer.args.max_steps=30",
    "trainer.args.warmup_steps=3",
    "trainer.args.logging_steps=3",  # divides no step at which a checkpoint is saved but the last
    "trainer.args.eval_steps=10",
    "trainer.args.save_steps=10",
]
STREAMS = [*CLIPS, *SMALL, "trainer.tokens_a_batch=500"]
PICTURES = [*ELEMENTS, *SMALL, "trainer.args.per_device_train_batch_size=4"]


def lines(folder: Path) -> list[dict]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def status(folder: Path) -> str:
    return json.loads((folder / "run.json").read_text())["status"]


def files(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """An uninterrupted run."""
    return trained(tmp_path_factory.mktemp("whole"), *STREAMS)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """The same of a classification."""
    return trained(tmp_path_factory.mktemp("pictures"), *PICTURES)


def killed(cwd: Path, number: int, after: int, *words: str) -> subprocess.Popen[str]:
    """Start the same run, and send a signal once it has logged a step."""
    command = [sys.executable, str(ROOT / "train.py"), *(words or STREAMS), "hydra.run.dir=run"]
    process = subprocess.Popen(
        command, cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    log = cwd / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (log.is_file() and len(log.read_text().splitlines()) >= after):
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(number)
    process.communicate(timeout=120)
    return process


FOLDER = {".hydra", "config.yaml", "run.json", "train.log", "metrics.jsonl", "metrics.json", "tensorboard"}
FOLDER |= {"checkpoints", "predictions", "report.html"}


def test_a_run_leaves_everything_in_one_folder(whole):
    assert status(whole) == "DONE"
    assert FOLDER | {"events.json"} <= {path.name for path in whole.iterdir()}
    metrics = json.loads((whole / "metrics.json").read_text())
    keys = {f"{split}/{kind}/{name}" for split in ("val", "test") for kind in ("speak", "dst") for name in RATES}
    freely = {"dst/transition_f1", "dst/joint_goal_accuracy", "silent/dst/joint_goal_accuracy"}
    freely |= {f"dialogue/{name}" for name in ("precision", "recall", "f1")}
    keys |= {f"{split}/{name}" for split in ("val", "test") for name in freely}
    assert keys | {"test/loss_dst_binary", "train/seconds", "train/steps"} <= metrics.keys()
    assert metrics["train/steps"] == 30
    assert len((whole / "predictions" / "test.jsonl").read_text().splitlines()) == 6
    assert len((whole / "predictions" / "test.watched.jsonl").read_text().splitlines()) == 6
    facts = json.loads((whole / "run.json").read_text())
    assert facts["seed"] == 0
    assert facts["data"]["samples"] == {"train": 20, "val": 5, "test": 6}
    rows = [row for row in lines(whole) if "train/loss" in row]
    assert [row["step"] for row in rows] == list(range(3, 31, 3))
    terms = {f"loss_{name}" for name in ("speaking_gen", "speaking_binary", "dst_gen", "dst_binary")}
    assert all({f"train/{term}" for term in terms} <= row.keys() for row in rows if row["step"] > 6)
    assert all({f"val/{term}" for term in terms} <= row.keys() for row in lines(whole) if "val/loss" in row)
    assert list((whole / "tensorboard").iterdir())
    assert not list(whole.rglob("training_args.bin"))


RATES = ("precision", "recall", "f1", "ap", "threshold")


def test_a_classification_leaves_its_own_tables(pictures):
    assert status(pictures) == "DONE"
    assert FOLDER | {"confusion.json", "confusion.png"} <= {path.name for path in pictures.iterdir()}
    metrics = json.loads((pictures / "metrics.json").read_text())
    assert {"test/accuracy", "test/macro_f1", "val/accuracy", "train/seconds", "train/steps"} <= metrics.keys()
    assert len((pictures / "predictions" / "test.jsonl").read_text().splitlines()) == 20


def test_an_evaluation_killed_while_it_watches_goes_on_clip_by_clip(whole, tmp_path):
    words = ["evaluate.py", f"run={whole}", "watch.rows=1", "hydra.run.dir=again"]
    command = [sys.executable, str(ROOT / words[0]), *words[1:]]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)
    notes, deadline = tmp_path / "again" / "watched" / "test-0.jsonl", time.monotonic() + 120
    while not (notes.is_file() and notes.read_text().count("\n") >= 2):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    before = notes.read_text()
    done = python("evaluate.py", f"resume={tmp_path / 'again'}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert notes.read_text().startswith(before[: before.rindex("\n") + 1])
    at_the_end = json.loads((whole / "metrics.json").read_text())
    again = json.loads((tmp_path / "again" / "metrics.json").read_text())
    assert again == {key: value for key, value in at_the_end.items() if key.startswith("test/")}


@pytest.mark.parametrize("kind", ["whole", "pictures"])
def test_evaluating_the_run_gives_the_numbers_of_its_end(kind, request, tmp_path):
    whole = request.getfixturevalue(kind)
    before = files(whole)
    done = python("evaluate.py", f"run={whole}", "hydra.run.dir=again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    again = json.loads((tmp_path / "again" / "metrics.json").read_text())
    at_the_end = json.loads((whole / "metrics.json").read_text())
    assert again == {key: value for key, value in at_the_end.items() if key.startswith("test/")}
    predictions = [(folder / "predictions" / "test.jsonl").read_text() for folder in (whole, tmp_path / "again")]
    assert predictions[0] == predictions[1]
    assert files(whole) == before


def test_zero_shot_uses_the_same_code(tmp_path):
    words = ["data=element_demo", "data.train=10", "data.val=5", "data.test=10", "hydra.run.dir=zero"]
    done = python("evaluate.py", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = json.loads((tmp_path / "zero" / "metrics.json").read_text())
    assert metrics["test/samples"] == 10
    assert metrics["test/accuracy"] <= 0.5


def test_zero_shot_on_streams(tmp_path):
    done = python("evaluate.py", *CLIPS, "hydra.run.dir=zero", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = json.loads((tmp_path / "zero" / "metrics.json").read_text())
    assert metrics["test/dst/exact"] == 0
    assert metrics["test/speak/f1"] < 0.5


def test_a_killed_run_resumes_bit_equal(whole, tmp_path):
    assert killed(tmp_path, signal.SIGKILL, after=9).returncode == -signal.SIGKILL
    assert status(tmp_path / "run") == "RUNNING"
    done = python("train.py", "resume=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert lines(tmp_path / "run") == lines(whole)
    ends = [json.loads((folder / "metrics.json").read_text()) for folder in (whole, tmp_path / "run")]
    assert {k: v for k, v in ends[0].items() if k != "train/seconds"} == {
        k: v for k, v in ends[1].items() if k != "train/seconds"
    }


@pytest.mark.slow
def test_time_counts_over_all_starts(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    done = python("train.py", f"resume={tmp_path / 'run'}", cwd=tmp_path)  # nothing is left to train
    assert done.returncode == 0, done.stderr[-3000:]
    before, after = (json.loads((folder / "metrics.json").read_text()) for folder in (whole, tmp_path / "run"))
    assert before.pop("train/seconds") <= after.pop("train/seconds") + 0.5
    assert before == after
    assert lines(tmp_path / "run") == lines(whole)


def test_a_signal_stops_at_a_step_with_code_75_and_resumes_bit_equal(whole, tmp_path):
    assert killed(tmp_path, signal.SIGTERM, after=5).returncode == 75
    assert status(tmp_path / "run") == "INTERRUPTED"
    logged = max(row["step"] for row in lines(tmp_path / "run"))
    saved = max(int(path.name.removeprefix("step-")) for path in (tmp_path / "run" / "checkpoints").glob("step-*"))
    assert saved >= logged
    refused = python("train.py", "resume=run", "trainer.tokens_a_batch=400", cwd=tmp_path)
    assert refused.returncode == 2
    assert "tokens_a_batch" in refused.stderr
    done = python("train.py", "resume=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert lines(tmp_path / "run") == lines(whole)


def test_a_finished_run_is_never_written_into(whole):
    before = files(whole)
    refused = python("train.py", *STREAMS, "hydra.run.dir=run", cwd=whole.parent)
    assert refused.returncode == 2
    assert "run" in refused.stderr
    assert "resume=" in refused.stderr
    assert files(whole) == before


@pytest.mark.slow
@pytest.mark.parametrize("words", [STREAMS, PICTURES], ids=["streams", "pictures"])
def test_two_ranks_share_one_folder_and_equal_one_process(words, tmp_path):
    """Plain AdamW: Muon computes in bfloat16, which blows the last digit of a sum up to the third."""
    words = [*words, "trainer.optimizer=adamw", "trainer.args.max_steps=4", "trainer.args.learning_rate=1e-4"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launch, str(ROOT / "train.py"), *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    runs = [path.parent for path in (tmp_path / "outputs").rglob("run.json")]
    assert [status(run) for run in runs] == ["DONE"]
    alone = python("train.py", *words, "trainer.args.gradient_accumulation_steps=2", "hydra.run.dir=one", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr[-3000:]
    two, one = (json.loads((run / "metrics.json").read_text()) for run in (runs[0], tmp_path / "one"))
    assert two.keys() == one.keys()
    for key in two.keys() - {"train/seconds"}:
        assert two[key] == pytest.approx(one[key], abs=1e-5), key


@pytest.mark.parametrize(
    ("words", "said", "needed"),
    [
        (["data=element", "data.folder=nowhere"], "nowhere: there is no such folder", "prospect.data.element.rows"),
        ([*STREAMS, "model.path=."], "it is no model folder", "prospect.models.hub"),
        ([*STREAMS, "model.path=nowhere"], "model.path: there is no folder nowhere", "prospect.models.hub"),
    ],
)
def test_what_is_not_there_is_said_before_torch_is_imported(tmp_path, words, said, needed):
    command = [sys.executable, "-X", "importtime", str(ROOT / "train.py"), *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert said in done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert needed in imported
    assert not {"torch", "transformers"} & imported


def test_a_failed_run_says_so(tmp_path):
    words = [*STREAMS, "trainer.args.learning_rate=1e30", "trainer.args.max_grad_norm=0", "hydra.run.dir=run"]
    done = python("train.py", *words, cwd=tmp_path)
    assert done.returncode == 1
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["status"] == "FAILED"
    assert "the loss is nan at step" in facts["error"]["message"]
    assert "Traceback" not in done.stderr
    assert "Traceback" in (tmp_path / "run" / "train.log").read_text()


@pytest.mark.parametrize("kind", [pytest.param("whole", marks=pytest.mark.slow), "pictures"])
def test_lora_starts_from_a_run_keeps_its_base_and_resumes(kind, request, tmp_path):
    words = [*(STREAMS if kind == "whole" else PICTURES), "adapt=lora", f"model.path={request.getfixturevalue(kind)}"]
    words += ["data.seed=1", "trainer.optimizer=adamw"]
    done = python("train.py", *words, "hydra.run.dir=lora", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert killed(tmp_path, signal.SIGKILL, 9, *words).returncode == -signal.SIGKILL
    done = python("train.py", "resume=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert lines(tmp_path / "run") == lines(tmp_path / "lora")
    done = python("evaluate.py", f"run={tmp_path / 'lora'}", "hydra.run.dir=again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    ends = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("lora", "again")]
    assert ends[1] == {key: value for key, value in ends[0].items() if key.startswith("test/")}


def test_preview_shows_and_writes_a_page(tmp_path):
    done = python("preview.py", *ELEMENTS, "index=3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "element_demo/train[3]" in done.stdout
    assert "every learnt span decodes to its turn and end token" in done.stdout
    page = (tmp_path / "preview.html").read_text()
    assert "data:image/png;base64," in page
    assert "http://" not in page
    assert "https://" not in page
    assert not (tmp_path / "outputs").exists()


def test_a_meta_model_is_checked_and_counted(tmp_path):
    words = ["model=smolvlm2", "model.weights=random", "model.device=meta", *ELEMENTS]
    done = python("train.py", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2,246,784,880" in done.stdout
