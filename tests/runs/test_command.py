"""The whole way of a root script: exit codes, folders, sweeps, ranks, resuming."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from prospect.runs.command import command


def folders(root: Path) -> list[Path]:
    return sorted(file.parent for file in root.rglob("run.json"))


def status(folder: Path) -> str:
    return json.loads((folder / "run.json").read_text())["status"]


@pytest.fixture
def inside(repository, monkeypatch, capfd):
    """The command in this process: exit code and what it said."""
    import importlib.util
    import logging

    spec = importlib.util.spec_from_file_location("train", repository / "train.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setitem(sys.modules, "train", script)
    root = logging.getLogger()
    before = root.handlers[:], root.level

    def go(*arguments: str) -> tuple[int, str]:
        code = command(script.train, "config", list(arguments))
        said = capfd.readouterr()
        return code, said.err + said.out

    yield go
    for handler in set(root.handlers) - set(before[0]):
        handler.close()
    root.handlers[:], root.level = before


def test_a_run(run, repository):
    done = run("seed=1", "hydra.run.dir=outputs/here")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"folder {repository}/outputs/here heavy []" in done.stdout
    assert status(repository / "outputs/here") == "DONE"
    assert "steps 10" in (repository / "outputs/here/train.log").read_text()
    again = run("seed=2", "hydra.run.dir=outputs/here")
    assert again.returncode == 2
    assert "outputs/here" in again.stderr
    assert (repository / "outputs/here/.hydra/overrides.yaml").read_text() == "- seed=1\n"


def test_from_another_folder(run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    assert run("experiment=quick", cwd=tmp_path / "elsewhere").returncode == 0
    (folder,) = folders(tmp_path / "elsewhere" / "outputs")
    assert folder.name.endswith("-tiny")


@pytest.mark.parametrize(
    ("act", "code", "left", "said"),
    [
        ("fail", 1, "FAILED", "failed: RuntimeError: it broke  (traceback: "),
        ("user", 2, "FAILED", "data.folder: nothing there"),
        ("stop", 75, "INTERRUPTED", "stopped at step 3"),
        ("interrupt", 130, "INTERRUPTED", "interrupted"),
    ],
)
def test_exit_codes(inside, repository, act, code, left, said):
    ended, told = inside(f"act={act}", "hydra.run.dir=out")
    assert ended == code
    assert said in told
    assert "Traceback" not in told
    assert status(repository / "out") == left
    assert ("RuntimeError: it broke" in (repository / "out/train.log").read_text()) == (act == "fail")


def test_a_typo_leaves_nothing_and_imports_nothing(run, repository):
    before = sorted(repository.iterdir())
    wrong = run("modle=tiny", "trainer.args.learning_rte=1")
    assert wrong.returncode == 2
    assert wrong.stdout == ""
    assert wrong.stderr == (
        "train.py: 2 mistakes in the configuration, nothing was run\n"
        "  trainer.args.learning_rte: unknown; did you mean trainer.args.learning_rate?  (command line)\n"
        "  modle: unknown; did you mean model?  (command line)\n"
    )
    assert sorted(repository.iterdir()) == before


def test_a_sweep_ends_with_the_failure_of_any_job(inside, repository):
    code, told = inside("-m", "seed=1,2,3", "act=fail2", "hydra.sweep.dir=sweep")
    assert code == 1
    assert "sweep/1/train.log" in told
    assert [status(repository / "sweep" / name) for name in "012"] == ["DONE", "FAILED", "DONE"]
    code, told = inside("seed=4,5", "-m", "hydra.sweep.dir=sweep")
    assert code == 2
    assert "hydra.sweep.dir" in told


def test_a_signal_ends_the_whole_sweep(inside, repository):
    assert inside("-m", "seed=1,2", "act=stop", "hydra.sweep.dir=sweep")[0] == 75
    assert len(folders(repository / "sweep")) == 1


def test_a_sweep_with_one_bad_value_starts_no_job(inside, repository):
    code, told = inside("-m", "seed=1,x")
    assert code == 2
    assert "seed: 'x' is no int" in told
    assert not (repository / "outputs").exists()


def test_resume(inside, repository):
    assert inside("seed=3", "act=stop", "hydra.run.dir=out")[0] == 75
    code, told = inside("resume=out", "act=''")
    assert code == 2
    assert "act: stop -> " in told
    overrides = (repository / "out/.hydra/overrides.yaml").read_text()
    code, told = inside("resume=out", "trainer.args.max_steps=20")
    assert code == 75
    assert "resume: trainer.args.max_steps: 10 -> 20" in told
    assert "steps 20" in told
    assert (repository / "out/.hydra/overrides.yaml").read_text() == overrides
    assert len(json.loads((repository / "out/run.json").read_text())["starts"]) == 2


def test_resume_of_a_job_of_a_sweep_in_an_odd_folder(inside, repository):
    assert inside("-m", "seed=1,2", "act=stop", r"hydra.sweep.dir='it\'s, a=b'")[0] == 75
    (folder,) = folders(repository)
    assert folder == repository / "it's, a=b" / "0"
    assert inside(r"resume='it\'s, a=b/0'")[0] == 75
    assert len(json.loads((folder / "run.json").read_text())["starts"]) == 2


def test_resume_of_nothing(inside):
    code, told = inside("resume=nowhere")
    assert code == 2
    assert "nowhere is no run folder" in told


def test_resume_refuses_what_it_cannot_do(inside):
    assert inside("hydra.run.dir=out")[0] == 0
    assert "leave out -m" in inside("resume=out", "-m")[1]
    assert "leave out hydra.run.dir" in inside("resume=out", "hydra.run.dir=other")[1]


def test_secrets_that_a_folder_does_not_keep_are_asked_for(inside):
    assert inside("trainer.args.hub_token=hf_abcdefghijklmnopqrstuvwx", "hydra.run.dir=out")[0] == 0
    code, told = inside("resume=out")
    assert code == 2
    assert "give trainer.args.hub_token again" in told
    assert inside("resume=out", "trainer.args.hub_token=hf_abcdefghijklmnopqrstuvwx")[0] == 0


def test_mistakes_show_no_secret(inside):
    code, told = inside("trainer.args.hubb_token=hf_abcdefghijklmnopqrstuvwx", "trainer.args.hub_token=[verysecret]")
    assert code == 2
    assert "trainer.args.hubb_token: unknown; did you mean trainer.args.hub_token?" in told
    assert "verysecret" not in told
    assert "hf_abc" not in told


def test_ranks_share_a_folder_and_one_writes_logs(run, repository):
    launch = (
        "import os, subprocess, sys, time\n"
        "base = {**os.environ, 'TORCHELASTIC_RUN_ID': 'none', 'WORLD_SIZE': '2', 'MASTER_PORT': '1'}\n"
        "start = lambda rank: subprocess.Popen([sys.executable, *sys.argv[2:]], env={**base, 'RANK': rank})\n"
        "first = start(sys.argv[1]); time.sleep(0.7); second = start('10'[int(sys.argv[1])])\n"
        "sys.exit(first.wait() or second.wait())\n"
    )
    script = str(repository / "train.py")
    for early in "01":
        source = {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
        done = subprocess.run(
            [sys.executable, "-c", launch, early, script], env={**os.environ, **source}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("folder ") == 2
    found = folders(repository / "outputs")
    assert len(found) == 2
    assert all((folder / "train.log").read_text().count("steps 10") == 1 for folder in found)


def test_no_sweep_under_torchrun(inside, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    code, told = inside("-m", "seed=1,2")
    assert code == 2
    assert "torchrun" in told


def test_other_ranks_tell_the_first_mistake_only(inside, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    code, told = inside("seed=x", "modle=tiny")
    assert code == 2
    assert (
        told
        == "[rank 1] train.py: 2 mistakes in the configuration, nothing was run: seed: 'x' is no int  (command line)\n"
    )


def test_flags(inside, repository):
    code, told = inside("--help")
    assert code == 0
    assert "model        large  tiny*" in told
    assert "Trains nothing." in told
    code, told = inside("seed=4", "--cfg", "job", "model=large", "-p", "model")
    assert code == 0
    assert told == "# @package model\n_target_: prospect.models.images.ImageSettings\nsplit: true\nsize: 512\n"
    assert inside("--cfg", "job", "modle=x")[0] == 2
    assert "did you mean --cfg?" in inside("--cgf", "job")[1]
    assert "did you mean seed=3?" in inside("--seed=3")[1]
    assert inside("--info", "defaults")[0] == 0
    assert "pickle" in inside("--experimental-rerun", "x")[1]
    assert inside("-m", "seed=1,2", "--cfg", "job") == (
        2,
        "--multirun and --cfg exclude each other: keep one of them\n",
    )
    assert inside("--config-dir", "nowhere")[0] == 2
    assert not (repository / "outputs").exists()


def test_without_a_folder(repository, capsys):
    def preview(model: dict, loss: dict, trainer: dict, data: dict, seed: int = 0, resume: str | None = None) -> None:
        print("previewed", model["split"], trainer["args"]["learning_rate"])
        if seed:
            raise RuntimeError("it broke")

    def go(*lines: str) -> tuple[int, str]:
        code = command(preview, "config", list(lines), folder=False, conf=repository / "conf")
        return code, "".join(capsys.readouterr())

    assert go("model=large", "trainer.args.learning_rate='1e-5'") == (0, "previewed True 1e-05\n")
    assert "RuntimeError: it broke" in go("seed=1")[1]
    assert go("seed=1")[0] == 1
    assert go("-m", "seed=0,1")[0] == 2
    assert go("sed=1")[0] == 2
    assert not (repository / "outputs").exists()
