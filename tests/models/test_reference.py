"""The model before training: equal to the start in every mode, whatever is trained then, and no weight held twice."""

from __future__ import annotations

import functools

import pytest
import torch
from tests.models import nanovlms

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import encode
from prospect.models import adapt
from prospect.models.reference import reference
from prospect.models.tiny import tiny
from prospect.models.tiny_qwen3_vl import tiny_qwen3_vl
from prospect.training.collate import Item, collator
from prospect.training.preferred import log_probs

MODES = {
    "full": lambda vlm: adapt.full(vlm),
    "frozen vision": lambda vlm: adapt.full(vlm, freeze=["vision"]),
    "lora": lambda vlm: adapt.lora(vlm, rank=4),
    "lora and a connector": lambda vlm: adapt.lora(vlm, rank=4, train=["connector"]),
    "lora by name": lambda vlm: adapt.lora(vlm, rank=4, name="mine"),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("make", [tiny, tiny_qwen3_vl, nanovlms.small])
def test_it_stays_what_the_model_was(make, mode, picture, tmp_path):
    make = functools.partial(make, tmp_path) if make is nanovlms.small else make
    vlm = MODES[mode](make(seed=1, device="cpu"))
    sample = Sample("s", (Turn("user", (Picture(picture), "what?")), Turn("assistant", ("wood and fire",))))
    rows, collate = [Item(sample, encode(vlm.chat(sample), vlm.tokenizer))], collator(vlm)
    start = make(seed=1, device="cpu")
    expected = log_probs(start.model.eval(), collate, rows)
    before = reference(vlm)
    names = dict(start.model.named_parameters())
    assert {name: p.shape for name, p in before.model.named_parameters()} == {n: p.shape for n, p in names.items()}
    assert not any(parameter.requires_grad for parameter in before.model.parameters())
    with torch.no_grad():
        for parameter in vlm.model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)) * 0.1)
    vlm.model.eval()
    assert torch.equal(log_probs(before.model, collate, rows), expected)
    assert all(torch.equal(parameter, names[name]) for name, parameter in before.model.named_parameters())
    assert not torch.allclose(log_probs(vlm.model, collate, rows), expected)
    trained = {id(parameter) for parameter in vlm.model.parameters() if parameter.requires_grad}
    there, of_policy = ({p.data_ptr() for p in model.parameters()} for model in (before.model, vlm.model))
    frozen = {p.data_ptr() for p in vlm.model.parameters() if id(p) not in trained}
    assert there & of_policy == there & frozen
    if mode == "lora":
        assert there <= frozen  # nothing but the adapter is trained, so nothing is held twice
