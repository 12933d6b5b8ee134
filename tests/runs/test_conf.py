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
    mistakes = compose(CONF, [choice], of_callable(train)).mistakes
    assert [mistake for mistake in mistakes if not mistake.is_missing] == []  # what only the user knows stays missing


def test_experiments_are_found():
    files = {file.stem for file in (ROOT / "experiments").glob("*.yaml")}
    assert {choice.removeprefix("experiment=") for choice in choices() if choice.startswith("experiment=")} == files


@pytest.mark.parametrize("script", ["evaluate", "preview", "encode"])
def test_other_commands(script):
    import importlib

    main = getattr(importlib.import_module(script), script)
    mistakes = compose(Conf(ROOT / "conf", script), [], of_callable(main)).mistakes
    assert [mistake for mistake in mistakes if not mistake.is_missing] == []
