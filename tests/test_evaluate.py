"""`evaluate.py` as a user runs it, asking a judge: verdicts and failures are told apart, the key is left nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.endpoint import SCORES, said, stall

from prospect.evaluation import thresholds

ROOT = Path(__file__).parent.parent
KEY = "zq7Kx9v"  # shorter than what is struck out of texts: where it doesn't stand, it has never been
CLIPS = ["data.train=4", "data.val=2", "data.test=5", "data.captions=0", "data.dense=0"]
SHORT = ["trainer.args.max_steps=2", "trainer.args.warmup_steps=0"]
ASK = ["judge.model=strict-1", "judge.at_once=1", "judge.tries=1", "judge.timeout=0.5", "watch.speak_tokens=8"]


def python(script: str, *words: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    environment = {**clean, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", **more}
    command = [sys.executable, str(ROOT / script), *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def json_of(file: Path):
    """Strictly: NaN and infinities are no JSON."""
    return json.loads(file.read_text(), parse_constant=lambda name: pytest.fail(f"{name} in {file}"))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    cwd = tmp_path_factory.mktemp("trained")
    done = python("train.py", *CLIPS, *SHORT, "watch.clips=0", "hydra.run.dir=run", cwd=cwd)
    assert done.returncode == 0, done.stderr[-3000:]
    return cwd / "run"


@pytest.mark.slow
def test_a_judge_that_fails_stalls_and_talks_nonsense(run, endpoint, tmp_path):
    good = (200, said(json.dumps(SCORES)))
    endpoint.plan += [good, good, (500, KEY.encode()), stall, (200, said(f"{KEY} 5 of 5")), good]  # the first: a knock
    words = [f"run={run}", "watch.clips=null", *ASK, "hydra.run.dir=again"]
    there = {"OPENAI_BASE_URL": endpoint.address, "OPENAI_API_KEY": KEY, "PROSPECT_CACHE": str(tmp_path / "cache")}
    done = python("evaluate.py", *words, cwd=tmp_path, **there)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(endpoint.asked) == 6
    assert all(headers["Authorization"] == f"Bearer {KEY}" for _, headers, _ in endpoint.asked)

    metrics = json_of(tmp_path / "again" / "metrics.json")
    assert (metrics["test/judge/judged"], metrics["test/judge/failed"]) == (2, 3)
    for aspect, score in SCORES.items():
        assert [metrics[f"test/judge/{aspect}{end}"] for end in ("", "_low", "_high")] == [score] * 3
    rows = [json.loads(line) for line in (tmp_path / "again/predictions/test.watched.jsonl").read_text().splitlines()]
    assert [each["judge"]["scores"] for each in rows] == [SCORES, None, None, None, SCORES]
    assert [each["judge"]["failure"].split(",")[0] for each in rows[1:4]] == [
        "status 500",
        "no answer within 0.5 s",
        "the answer cannot be read: JSONDecodeError",
    ]
    assert "(failed) judge, overall of 5" in done.stdout
    assert "(3) 4.000" in done.stdout
    page = (tmp_path / "again" / "report.html").read_text()
    assert "<b>Judged</b> by strict-1" in page
    assert "3 failed" in page
    assert "judge: overall 4, correctness 4, promptness 3, efficiency 5" in page

    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(list((tmp_path / "cache" / "judge").iterdir())) == 2
    assert [path for path in left if KEY.encode() in path.read_bytes() or KEY in path.name] == []
    assert KEY not in done.stdout + done.stderr
    assert json_of(tmp_path / "again" / "thresholds.json") == json_of(run / "thresholds.json")

    endpoint.plan.clear()
    endpoint.plan.append(good)
    done = python("evaluate.py", *words[:-1], "hydra.run.dir=later", cwd=tmp_path, **there)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(endpoint.asked) == 6 + 1 + 3  # the knock, and the clips that had failed
    assert json_of(tmp_path / "later" / "metrics.json")["test/judge/failed"] == 0


def test_what_the_judge_lacks_is_said_before_anything_is_watched(run, endpoint, tmp_path):
    words = [f"run={run}", "watch.clips=null", *ASK, "hydra.run.dir=again"]
    done = python("evaluate.py", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert "the judge needs in the environment: OPENAI_BASE_URL" in done.stderr
    assert "OPENAI_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "again" / "watched").exists()

    endpoint.plan.append((401, KEY.encode()))
    there = {"OPENAI_BASE_URL": endpoint.address, "OPENAI_API_KEY": KEY}
    done = python("evaluate.py", *words[:-1], "hydra.run.dir=refused", cwd=tmp_path, **there)
    assert done.returncode == 2
    assert "refuses OPENAI_API_KEY (status 401)" in done.stderr
    assert len(endpoint.asked) == 1
    assert not (tmp_path / "refused" / "watched").exists()
    assert [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []


def test_thresholds_follow_from_what_is_stored(run, tmp_path):
    found, metrics = json_of(run / "thresholds.json"), json_of(run / "metrics.json")
    for name, each in found["decisions"].items():
        assert set(each["splits"]) == {"val", "test"}
        for split, at in each["splits"].items():
            assert {rate: at[rate] for rate in ("precision", "recall", "f1", "ap")} == {
                rate: metrics[f"{split}/{name}/{rate}"] for rate in ("precision", "recall", "f1", "ap")
            }
            assert metrics[f"{split}/{name}/threshold"] == each["threshold"]
        assert max(each["splits"]["val"]["curve"]["f1"]) == pytest.approx(each["splits"]["val"]["f1"], abs=1e-6)
    assert thresholds.main([str(run), "--json", str(tmp_path / "new.json")]) == 0
    assert json_of(tmp_path / "new.json") == found
    assert (run / "report.html").read_text().count('<line class="mark c-val"') == 2
