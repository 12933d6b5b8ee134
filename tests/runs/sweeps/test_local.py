"""Which job gets which GPU, without any."""

from __future__ import annotations

import json

import pytest

from prospect.runs.sweeps.local import places


@pytest.mark.parametrize(
    ("jobs", "gpus", "ranks", "expected"),
    [
        (None, "", 1, [None]),
        (3, "", 1, [None, None, None]),
        (None, "0123", 1, ["0", "1", "2", "3"]),
        (2, "0123", 1, ["0", "1"]),
        (4, "02", 1, ["0", "2", "0", "2"]),
        (None, "0123", 2, ["0,1", "2,3"]),
        (None, "012", 2, ["0,1"]),  # one is left over
    ],
)
def test_places(jobs, gpus, ranks, expected):
    assert places(jobs, list(gpus), ranks) == expected


def test_fewer_gpus_than_ranks_are_refused():
    with pytest.raises(ValueError, match=r"ranks=4.*of 1 GPUs"):
        places(None, ["0"], 4)


def test_jobs_that_run_together_have_gpus_of_their_own(run, repository):
    words = ["-m", "seed=0,1,2,3", "launcher=local", "hydra.launcher.gpus=[5,7]", "hydra.sweep.dir=out"]
    done = run(*words)
    assert done.returncode == 0, done.stderr
    seen = [json.loads((repository / "out" / str(n) / "metrics.json").read_text())["gpus"] for n in range(4)]
    assert sorted(seen[:2]) == ["5", "7"]
    assert set(seen) == {"5", "7"}
    busy: set[str] = set()
    on: dict[str, str] = {}
    for line in done.stderr.splitlines():
        number = line.split()[1].rstrip(":")
        if " starts on GPU " in line:
            on[number] = line.split()[-1]
            assert on[number] not in busy
            busy.add(on[number])
        else:
            busy.remove(on[number])
