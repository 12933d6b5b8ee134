"""Adapters on weights of four bits. Without a GPU bitsandbytes counts on the CPU, and the arithmetic is the same."""

from __future__ import annotations

import sys

import pytest
import torch
from tests.training.test_moves import FAMILIES, PROJECTIONS, expected, inputs, made, stepped, tensors, told

from prospect.errors import UserError
from prospect.models import adapt, loading, machine


@pytest.fixture
def bitsandbytes(monkeypatch):
    package = pytest.importorskip("bitsandbytes")
    monkeypatch.setattr(adapt, "check_four_bits", lambda: None)
    monkeypatch.setattr(loading, "check_four_bits", lambda: None)
    # Some CPUs have a kernel of its own for evaluation, which rounds to bfloat16. GPUs have nothing of the kind.
    monkeypatch.setattr(package.nn.modules, "has_avx512bf16", lambda: False)


@pytest.mark.parametrize("watches", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_moves_is_what_was_asked_and_comes_back_bit_equal(tmp_path, bitsandbytes, family, watches):
    plain, factory = made(family, watches), FAMILIES[family][0]
    plain.save(tmp_path / "base")
    vlm = factory(path=str(tmp_path / "base"), device="cpu")
    vlm = adapt.qlora(vlm, rank=4, dropout=0.0, train=["connector"], compute="float32")
    batch = {name: value.to(vlm.device) for name, value in inputs(vlm, watches).items()}
    held = {name for name, p in vlm.model.named_parameters() if p.dtype == torch.uint8}
    assert held
    assert all("model.text_model." in n or "model.language_model." in n or "vis" in n for n in held)
    assert {p.dtype for name, p in vlm.model.named_parameters() if name not in held} == {torch.float32}
    before = tensors(vlm)
    stepped(vlm, batch)
    after = tensors(vlm)
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == expected(plain.model, family, "connector heads" if watches else "connector", PROJECTIONS)
    said = told(vlm, batch)
    merged = adapt.merged(vlm)
    assert (told(merged, batch) - said).abs().max() <= 1e-5
    assert merged.parameter_counts()["total"] == plain.parameter_counts()["total"]
    vlm.save(tmp_path / "trained")
    again = factory(path=str(tmp_path / "trained"), device="cpu")
    assert torch.equal(told(again, batch), said)
    both = adapt.lora(again, rank=2, name="anna")
    assert both.adapters == ["default", "anna"]


def test_weights_that_lie_nowhere_are_refused(bitsandbytes):
    with pytest.raises(UserError, match=r"adapt=qlora: the weights under the adapter lie in no folder"):
        adapt.qlora(made("smolvlm", watches=False))


def test_a_missing_package_or_gpu_is_said_before_anything_is_built(monkeypatch):
    four_bits = {"_target_": machine.FOUR_BITS}
    machine.check_machine({"_target_": "prospect.models.adapt.lora"})
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs the package bitsandbytes: pip install 'prospect\[qlora\]'"):
        machine.check_machine(four_bits)
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: sys)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="adapt=qlora needs a GPU"):
        machine.check_machine(four_bits)


def test_the_option_is_the_one_that_is_checked():
    assert f"{adapt.qlora.__module__}.{adapt.qlora.__name__}" == machine.FOUR_BITS
