"""A small repository of its own: a script whose main does what `act` says, and a conf folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

FILES = {
    "conf/config.yaml": """
        defaults:
          - _self_
          - model: tiny
          - loss: lm
          - trainer: supervised
          - data: pictures
          - optional launcher: null
          - optional experiment: null
        seed: 0
        resume: null
        hydra:
          run: {dir: "outputs/${run_stamp:}-${hydra:runtime.choices.model}"}
          sweep: {dir: "outputs/${run_stamp:}-sweep"}
        """,
    "conf/model/tiny.yaml": """
        _target_: prospect.models.images.ImageSettings
        split: false
        """,
    "conf/model/large.yaml": """
        _target_: prospect.models.images.ImageSettings
        split: true
        size: 512
        """,
    "conf/loss/lm.yaml": "name: lm",
    "conf/loss/dst.yaml": "{name: dst, speaking_gen_weight: 1.0}",
    "conf/data/pictures.yaml": "folder: pictures",
    "conf/data/needy.yaml": "folder: ???",
    "conf/data/dialogue.yaml": """
        defaults: [{override /loss@_global_.loss: dst}, _self_]
        folder: clips
        """,
    "conf/trainer/supervised.yaml": """
        args:
          _target_: transformers.TrainingArguments
          _partial_: true
          max_steps: 10
          learning_rate: 1e-3
        """,
    "experiments/quick.yaml": """
        # @package _global_
        defaults: [{override /loss: lm}]
        trainer: {args: {max_steps: 3}}
        """,
    "train.py": '''
        """Trains nothing."""
        from __future__ import annotations

        import json, logging, os, signal, sys, time
        from pathlib import Path

        from prospect.errors import Stopped, UserError
        from prospect.runs.command import command
        from prospect.runs.folder import Run


        def train(
            run: Run, model: dict, loss: dict, trainer: dict, data: dict, seed: int = 0, resume: str | None = None,
            act: str = "",
        ) -> None:
            logging.getLogger("train").info("steps %s", trainer["args"]["max_steps"])
            if act == "fail" or act == f"fail{seed}":
                raise RuntimeError("it broke")
            if act == "user":
                raise UserError("data.folder: nothing there")
            if act == "stop":
                raise Stopped("stopped at step 3")
            if act == "interrupt":
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(5)
            trouble = Path("trouble")  # {seed: what happens to it}, apart from the configuration
            happens = json.loads(trouble.read_text()).get(str(seed)) if trouble.exists() else None
            if happens == "fails":
                raise RuntimeError(f"seed {seed} broke")
            if happens == "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if happens == "waits":
                time.sleep(60)
            run.write_json("metrics.json", {"seed": seed, "gpus": os.environ.get("CUDA_VISIBLE_DEVICES")})
            (run.folder / f"rank-{os.environ.get('RANK')}-of-{os.environ.get('WORLD_SIZE')}").touch()
            print("folder", run.folder, "heavy", sorted({"torch", "transformers"} & set(sys.modules)))


        if __name__ == "__main__":
            sys.exit(command(train, config="config"))
        ''',
}


def write(root: Path, files: dict[str, str]) -> None:
    from textwrap import dedent

    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(dedent(text).lstrip("\n"))


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    root = tmp_path / "repository"
    write(root, FILES)
    (root / "conf" / "experiment").symlink_to("../experiments")
    for group in ("hydra", "launcher"):  # the launchers as they are
        (root / "conf" / group).symlink_to(SOURCE.parent / "conf" / group)
    monkeypatch.chdir(root)
    for name in (
        "RANK",
        "WORLD_SIZE",
        "TORCHELASTIC_RUN_ID",
        "PROSPECT_RUN_STAMP",
        "PROSPECT_SWEEP",
        "HYDRA_FULL_ERROR",
    ):
        monkeypatch.delenv(name, raising=False)
    return root


@pytest.fixture
def run(repository):
    """`run("seed=1", RANK="0")`: the script in a process of its own."""

    def run(*arguments: str, cwd: Path = repository, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(repository / "train.py"), *arguments],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run
