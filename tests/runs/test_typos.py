"""Fifty seeded typos and type errors over the repository's own configuration: each is refused, with one message."""

from __future__ import annotations

import json
import os
import random
import string
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEED = 7

# Runs in a process of its own, so that what is imported there is imported by the commands alone.
RUN = """
import contextlib, io, json, sys, time
sys.path.insert(0, sys.argv[1])
from train import train
from prospect.runs.command import command
results = []
for lines in json.load(sys.stdin):
    told, began = io.StringIO(), time.perf_counter()
    with contextlib.redirect_stderr(told):
        code = command(train, "config", lines)
    results.append((code, told.getvalue(), time.perf_counter() - began))
heavy = sorted({"torch", "transformers", "trl", "peft"} & set(sys.modules))
print(json.dumps({"results": results, "heavy": heavy}))
"""


def environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "TORCHELASTIC_RUN_ID")}
    return {**kept, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}


def slip(word: str, chance: random.Random) -> str:
    """One slip of the keyboard: a letter lost, doubled, wrong, or two swapped."""
    place = chance.randrange(1, len(word) - 1)
    before, here, after, rest = word[:place], word[place], word[place + 1], word[place + 2 :]
    slips = [before + after + rest, before + here + here + after + rest, before + after + here + rest]
    wrong = chance.choice(string.ascii_lowercase.replace(here.lower(), ""))
    return chance.choice([s for s in [*slips, before + wrong + after + rest] if s != word])


def names() -> tuple[list[str], list[str], dict[str, list[str]]]:
    """Keys that there are, inside of the groups and on top, and the options of the groups."""
    from train import train

    from prospect.runs.compose import compose, config_loader
    from prospect.runs.faults import Conf
    from prospect.runs.overrides import Groups
    from prospect.runs.signatures import of_callable, signature

    conf = Conf(ROOT / "conf")
    composed = compose(conf, [], of_callable(train))
    assert composed.mistakes == []
    keys = []

    def walk(node: dict, path: str) -> None:
        if "_target_" in node:
            call_time = (
                set() if node.get("_partial_") is not True else {"vlm", "data", "loss", "folder", "score", "args"}
            )
            keys.extend(f"{path}.{k}" for k in signature(node["_target_"]).parameters if k not in call_time)
        for key, value in node.items():
            if isinstance(value, dict):
                walk(value, f"{path}.{key}" if path else key)

    walk(composed.config, "")
    groups = Groups(config_loader(conf), "config", [])
    chosen_by_others = ("experiment", "trainer/on")
    options = {group: groups.options(group) for group in groups.names() if group not in chosen_by_others}
    return [key for key in keys if len(key.rpartition(".")[2]) >= 5], list(composed.config), options


def cases() -> list[tuple[list[str], list[str]]]:
    """(what is typed, what has to be suggested or named)"""
    chance = random.Random(SEED)
    keys, top, options = names()
    found: list[tuple[list[str], list[str]]] = []

    def mistyped(key: str) -> str:
        parent, _, name = key.rpartition(".")
        wrong = f"{parent}.{slip(name, chance)}"
        return wrong if wrong not in keys else mistyped(key)

    for place, key in enumerate(chance.sample(keys, 22)):
        found.append(([f"{('', '+', '++')[place % 3]}{mistyped(key)}=1"], [f"did you mean {key}?"]))
    for _ in range(8):
        group = chance.choice([g for g in options if max(map(len, options[g])) > 3])
        option = chance.choice([o for o in options[group] if len(o) > 3])
        wrong = slip(option, chance)
        if wrong not in options[group]:
            found.append(([f"{group}={wrong}"], [f"did you mean {group}={option}?"]))
    for name in chance.sample([name for name in top if len(name) > 3], 4):
        found.append(([f"{slip(name, chance)}=x"], [f"did you mean {name}?"]))
    found += TYPES
    while len(found) < 50:  # two at once, both told
        first, second = chance.sample(keys, 2)
        lines = [f"{mistyped(first)}=1", f"+{mistyped(second)}=1"]
        found.append((lines, [f"did you mean {first}?", f"did you mean {second}?"]))
    return found[:50]


TYPES: list[tuple[list[str], list[str]]] = [
    (["trainer.args.max_steps=abc"], ["trainer.args.max_steps: 'abc' is no int"]),
    (["trainer.args.max_steps=2.0"], ["did you mean 2?"]),
    (["trainer.args.learning_rate=fast"], ["trainer.args.learning_rate: 'fast' is no number"]),
    (["trainer.args.eval_strategy=stepz"], ["did you mean steps?"]),
    (["trainer.args.optim=adamw_toch"], ["did you mean adamw_torch?"]),
    (["seed=true"], ["seed: true is no int"]),
    (["resume=[1]"], ["resume: [1] is not text or null"]),
    (["model.dtype=bflot16"], ["did you mean bfloat16?"]),
    (["trainer.optimizer=adamv"], ["did you mean adamw?"]),
    (["trainer.args.gradient_checkpointing=ture"], ["did you mean true?"]),
    (["data=element"], ["data.folder: missing; set it with data.folder=VALUE"]),
    (["trainer._target_=prospect.training.fit.supervized"], ["did you mean prospect.training.fit.supervised?"]),
    (["model._target_=os.system"], ["model._target_: 'os.system' is not allowed"]),
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("typos")
    typed = cases()
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(ROOT)],
        input=json.dumps([lines for lines, _ in typed]),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    return typed, json.loads(done.stdout)


def test_fifty_of_fifty_are_refused_without_torch(answers):
    typed, answer = answers
    assert len(typed) == 50
    assert [lines for (lines, _), (code, *_) in zip(typed, answer["results"], strict=True) if code != 2] == []
    assert answer["heavy"] == []


def test_one_message_with_all_mistakes(answers):
    for (lines, _), (_, told, _) in zip(*_paired(answers), strict=True):
        head, *mistakes = told.splitlines()
        assert head.endswith("in the configuration, nothing was run"), told
        assert len(mistakes) == len(lines), told
        assert "Traceback" not in told


def test_the_right_suggestion_comes_first(answers):
    typed, results = _paired(answers)
    missed = [
        (lines, told)
        for (lines, wanted), (_, told, _) in zip(typed, results, strict=True)
        if not all(text in told for text in wanted)
    ]
    print(f"{50 - len(missed)}/50", *missed, sep="\n")
    assert len(missed) <= 5, missed


def _paired(answers):
    typed, answer = answers
    return typed, answer["results"]


@pytest.mark.parametrize("lines", [["modle=tiny"], ["+trainer.args.learning_rte=1e-3"], ["data=elment_demo", "seed=x"]])
def test_from_a_shell(tmp_path, lines):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(ROOT / "train.py"), *lines],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert done.returncode == 2
    assert "hydra" in imported
    assert not imported & {"torch", "transformers", "trl", "peft"}
    assert "did you mean" in done.stderr
    assert list(tmp_path.iterdir()) == []
