"""What is handed to SLURM, as submitit writes it: no cluster is needed for that."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from prospect.runs.sweeps.queue import Queue, ranked

CONF = Path(__file__).parents[3] / "conf" / "hydra" / "launcher"


@pytest.fixture
def batch(tmp_path, monkeypatch):
    """The batch file of the launcher as configured, with some keys changed."""
    pytest.importorskip("submitit")
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def batch(**changed) -> list[str]:
        keys = OmegaConf.merge(OmegaConf.load(CONF / "submitit_slurm.yaml"), changed)
        queue = Queue(**{key: value for key, value in keys.items() if key != "_target_"})
        executor = queue.executor(tmp_path / "%j")._executor
        return executor._make_submission_file_text("true", "one").splitlines()

    return batch


def test_the_keys_of_the_configuration_are_known_to_submitit(batch):
    text = batch()
    assert "#SBATCH --time=720" in text
    assert "#SBATCH --signal=USR2@120" in text
    assert "#SBATCH --gpus-per-node=1" in text
    assert not [line for line in text if "None" in line or "partition" in line]


def test_what_is_set_is_asked_for(batch):
    own = {"mail-user": "somebody"}
    text = batch(partition="gpu", account="lab", setup=["module load cuda"], mem_gb=8, additional_parameters=own)
    for line in ("--partition=gpu", "--account=lab", "--mem=8GB", "--mail-user=somebody"):
        assert f"#SBATCH {line}" in text
    assert "module load cuda" in text


def test_a_rank_finds_its_place_and_hands_back_the_exit_code(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    places = {"JOB_ID": "7", "NTASKS": "2", "JOB_NUM_NODES": "1", "NODEID": "0", "GLOBALID": "1", "LOCALID": "1"}
    for name, value in places.items():
        monkeypatch.setenv(f"SUBMITIT_LOCAL_{name}", value)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "outer")
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    monkeypatch.setenv("PROSPECT_SWEEP", "")
    monkeypatch.setattr(signal, "signal", lambda *handler: None)  # here it is the test's own process
    told = "import os, sys; print(*[os.environ[k] for k in sys.argv[1:]]); sys.exit(3)"
    names = ["RANK", "LOCAL_RANK", "WORLD_SIZE", "PROSPECT_SWEEP"]
    assert ranked([sys.executable, "-c", told, *names], str(tmp_path / "log"), "sweep") == 3
    assert (tmp_path / "log").read_text() == "1 1 2 sweep\n"
