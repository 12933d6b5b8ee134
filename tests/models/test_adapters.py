"""Several adapters on one base: kept apart while they learn, in the folder, and in use."""

import json

import pytest
import torch
from tests.models.test_adapt import logits, trainable
from tests.models.watchers import heads, moved

from prospect.errors import UserError
from prospect.models.adapt import full, lora, merged, qlora
from prospect.models.loading import trained
from prospect.models.stream import for_streams
from prospect.models.tiny import tiny
from prospect.models.tiny_qwen3_vl import tiny_qwen3_vl


def base(folder, **options):
    tiny(seed=1, device="cpu").save(folder / "base")
    return tiny(path=str(folder / "base"), device="cpu", **options)


def of(vlm, name):
    return {key: value.clone() for key, value in vlm.model.state_dict().items() if f".{name}." in key}


def test_a_second_adapter_learns_beside_the_first_and_changes_nothing_of_it(tmp_path):
    vlm = moved(lora(base(tmp_path), rank=4, name="an"))
    first, before = logits(vlm), of(vlm, "an")
    both = moved(lora(vlm, rank=2, name="anna", train=["connector"], ranks={"language": 3}, seed=1))
    assert both.adapters == ["an", "anna"]
    assert all(".anna." in name for name in trainable(both))
    assert not torch.equal(logits(both), first)
    assert all(torch.equal(value, before[name]) for name, value in of(both, "an").items())
    second = logits(both)
    both.use("an")
    assert torch.equal(logits(both), first)
    both.use("anna")
    assert torch.equal(logits(both), second)


def test_they_come_back_apart_one_by_one_and_together(tmp_path):
    vlm = moved(lora(base(tmp_path), rank=4, name="an", train=["connector"]))
    first = logits(vlm)
    vlm = moved(lora(vlm, rank=4, name="anna"))
    second, counts = logits(vlm), vlm.parameter_counts()
    vlm.save(tmp_path / "both")
    assert not list((tmp_path / "both").glob("**/model.safetensors"))
    again = tiny(path=str(tmp_path / "both"), device="cpu")
    assert (again.adapters, again.adapter) == (["an", "anna"], "anna")
    assert torch.equal(logits(again), second)
    assert torch.equal(logits(trained(str(tmp_path / "both"), {"device": "cpu"}, "an")), first)
    assert counts["total"] == lora(base(tmp_path), rank=4).parameter_counts()["total"]
    with pytest.raises(UserError, match="there is no adapter ben; there are an, anna"):
        trained(str(tmp_path / "both"), {"device": "cpu"}, "ben")
    third = moved(lora(again, rank=2, name="ben"))  # and on, after loading
    assert all(".ben." in name for name in trainable(third))
    third.use("an")
    third.save(tmp_path / "three")
    again = tiny(path=str(tmp_path / "three"), device="cpu")
    assert (len(again.adapters), again.adapter) == (3, "an")
    assert torch.equal(logits(again), first)


def test_beside_an_adapter_without_a_name(tmp_path):
    vlm = moved(lora(base(tmp_path)))
    first = logits(vlm)
    vlm = moved(lora(vlm, name="anna"))
    vlm.save(tmp_path / "both")
    again = tiny(path=str(tmp_path / "both"), device="cpu")
    assert torch.equal(logits(again), logits(vlm))
    again.use("default")
    assert torch.equal(logits(again), first)


@pytest.mark.parametrize("family", [tiny, tiny_qwen3_vl])
def test_each_has_heads_of_its_own_even_on_weights_that_lie_nowhere(tmp_path, family):
    vlm = moved(lora(for_streams(family(seed=1, device="cpu")), name="an"))
    first = [value.clone() for value in heads(vlm).values()]
    vlm = moved(lora(vlm, name="anna"))
    vlm.save(tmp_path / "both")
    again = family(path=str(tmp_path / "both"), device="cpu")
    assert again.parameter_counts()["heads"] == sum(value.numel() for value in first)
    for name in ("an", "anna"):
        own = [p for key, p in again.model.named_parameters() if f"decisions.modules_to_save.{name}." in key]
        theirs = [p for key, p in vlm.model.named_parameters() if f"decisions.modules_to_save.{name}." in key]
        assert len(own) == len(theirs) == 2
        assert all(torch.equal(one, other) for one, other in zip(own, theirs, strict=True))
        whole = merged(trained(str(tmp_path / "both"), {"device": "cpu"}, name))
        assert all(torch.equal(p, q) for p, q in zip(whole.model.decisions.parameters(), own, strict=True))


def test_merged_is_the_one_in_use(tmp_path):
    vlm = moved(lora(base(tmp_path), name="an", train=["connector"]))
    first = logits(vlm)
    vlm = moved(lora(vlm, name="anna"))
    assert (logits(merged(vlm)) - logits(vlm)).abs().max() <= 1e-5
    vlm.use("an")
    assert (logits(full(vlm)) - first).abs().max() <= 1e-5


def test_another_base_is_refused_for_all(tmp_path):
    lora(lora(base(tmp_path), name="an"), name="anna").save(tmp_path / "both")
    tiny(seed=2).save(tmp_path / "base")
    with pytest.raises(UserError, match="has changed since the adapter was trained"):
        tiny(path=str(tmp_path / "both"))


@pytest.mark.parametrize("name", ["default", "base", "q_proj", "lora_A", "11", "a.b", "a/b", "an"])
def test_names_that_would_be_taken_for_something_else_are_refused(tmp_path, name):
    with pytest.raises(UserError, match=f"adapt.name={name}"):
        lora(lora(base(tmp_path), name="an"), name=name)


def test_ranks_of_single_layers_have_the_strength_of_the_others(tmp_path):
    layer = r"model\.text_model\.layers\.2\..*"
    targets = [r"model\..*\.(q|v)_proj"]
    vlm = lora(base(tmp_path), rank=8, alpha=16, targets=targets, ranks={"vision": 2, "language": 4, layer: 16})
    shapes = {name: p.shape[0] for name, p in vlm.model.named_parameters() if "lora_A" in name}
    found = {name: next(rank for part, rank in RANKS.items() if part in name) for name in shapes}
    assert shapes == found
    layers = [module for name, module in vlm.model.named_modules() if name.endswith(("q_proj", "v_proj"))]
    assert {module.scaling["default"] for module in layers} == {2.0}
    moved(vlm).save(tmp_path / "ranked")
    assert torch.equal(logits(tiny(path=str(tmp_path / "ranked"))), logits(vlm))
    assert json.loads((tmp_path / "ranked" / "adapter_config.json").read_text())["r"] == 8


RANKS = {"vision_model": 2, "layers.2.": 16, "text_model": 4}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"ranks": {"vision": 4}}, r"adapt\.ranks: 'vision' names no layer of adapt\.targets"),
        ({"ranks": {"q_proj": 4}}, r"among them are: model\.text_model\.layers\.0\.self_attn\.q_proj"),
        ({"ranks": {"language": 0}}, r"adapt\.ranks\.language must be at least 1"),
        ({"train": [r"model\.text_model\.layers\.2"]}, r"layers\.2.* lies in model\.text_model\.layers\.2"),
        ({"targets": [r".*layers\.0\..*q_proj"], "train": [r"model\.text_model"]}, "lies in|shares its weights"),
        ({"targets": [r"model\.connector\..*proj"], "train": [r"model\.text_model"]}, "shares its weights"),
        ({"targets": ["vision"]}, r"adapt\.targets: vision is a whole part"),
        ({"train": ["heads"]}, r"adapt\.train: the model has no part heads"),
    ],
)
def test_wishes_that_cannot_be_meant_are_refused(tmp_path, asked, words):
    with pytest.raises(UserError, match=words):
        lora(base(tmp_path), **asked)


def test_four_bits_ask_for_their_package_or_a_gpu_first(tmp_path):
    with pytest.raises(UserError, match=r"adapt=qlora needs (the package bitsandbytes|a GPU)"):
        qlora(base(tmp_path))
