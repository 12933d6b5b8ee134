"""Claim: a generation that this machine cannot do is refused in one sentence, before data are read."""

from __future__ import annotations

import importlib.util

import pytest
from trl import GRPOConfig

from prospect.errors import UserError
from prospect.training import generation


@pytest.mark.parametrize("option", [generation.vllm_colocate, generation.vllm_server])
def test_without_the_package_or_a_gpu(option, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=f"generation={option.__name__} needs vLLM: pip install -r requirements-vllm"):
        option()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="needs a GPU"):
        option()


@pytest.mark.parametrize("option", [generation.hf, generation.vllm_colocate, generation.vllm_server])
def test_every_option_gives_arguments_of_trl(option, monkeypatch):
    monkeypatch.setattr(generation, "_check", lambda name: None)
    assert option().keys() <= GRPOConfig.__dataclass_fields__.keys()
