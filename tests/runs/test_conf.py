"""Every option of every group and every experiment of this repository composes and passes the check."""

from __future__ import annotations

from pathlib import Path

import pytest

from prospect.runs.compose import compose, config_loader
from prospect.runs.faults import Conf
from prospect.runs.overrides import Groups
from prospect.runs.signatures import of_callable

ROOT = Path(__file__).parents[2]
CONF = Conf(ROOT / "conf")


def choices() -> list[str]:
    groups = Groups(config_loader(CONF), CONF.name, [])
    return [f"{group}={option}" for group in groups.names() for option in groups.options(group)]


@pytest.mark.parametrize("choice", choices())
def test_option(choice):
    from train import train

    if choice == "launcher=joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    # What a trainer takes on one data set is taken by that trainer only.
    suited = [f"trainer={choice.rpartition('_')[2]}"] if choice.startswith("trainer/on=") else []
    mistakes = compose(CONF, [*suited, choice], of_callable(train)).mistakes
    assert [mistake for mistake in mistakes if not mistake.is_missing] == []  # what only the user knows stays missing


def test_experiments_are_found():
    files = {file.stem for file in (ROOT / "experiments").glob("*.yaml")}
    assert {choice.removeprefix("experiment=") for choice in choices() if choice.startswith("experiment=")} == files


def composed(*lines: str):
    from train import train

    return compose(CONF, list(lines), of_callable(train))


def test_what_a_trainer_takes_on_one_data_set():
    """Under what is typed and what a study says, over the trainer's own numbers; gone with another trainer or data."""
    asked = ["data=path_vqa_demo", "trainer=grpo"]
    rate, steps = "matrix_learning_rate", "max_steps"
    tuned = composed(*asked).config["trainer"]
    assert (tuned[rate], tuned["args"][steps]) == (0.0025, 100)
    assert composed(*asked, f"trainer.{rate}=0.1").config["trainer"][rate] == 0.1
    assert composed("experiment=path_vqa_grpo_demo_lora").config["trainer"][rate] == 0.014
    for others in (["~trainer/on"], ["data=prompts_demo"]):
        assert steps not in composed(*asked, *others).config["trainer"]["args"]
    assert composed("data=path_vqa_demo").config["trainer"]["args"][steps] == 500


@pytest.mark.parametrize("group", ["trainer", "data", "model"])
def test_a_group_without_a_choice(group):
    (mistake,) = composed(f"~{group}").mistakes
    assert (mistake.key, mistake.what.split(";")[0]) == (group, "missing")


@pytest.mark.parametrize("script", ["evaluate", "preview", "encode"])
def test_other_commands(script):
    import importlib

    main = getattr(importlib.import_module(script), script)
    mistakes = compose(Conf(ROOT / "conf", script), [], of_callable(main)).mistakes
    assert [mistake for mistake in mistakes if not mistake.is_missing] == []
