"""What a model that watches streams learns is trained, saved and found again in every adaptation mode."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.models.watchers import KINDS, MLP, batch, heads, moved, watching

from prospect.errors import UserError
from prospect.models.adapt import full, lora, merged
from prospect.models.decisions import StreamModel
from prospect.models.export import export
from prospect.models.stream import for_streams
from prospect.models.stream_settings import StreamSettings
from prospect.models.tiny import tiny
from prospect.models.vlm import VLM

ADAPT = {
    "full": full,
    "frozen-vision": lambda vlm: full(vlm, freeze=[r"model\.vision_model"]),
    "lora": lambda vlm: lora(vlm, rank=4),
    "lora on the tower": lambda vlm: lora(vlm, rank=4, targets=[r".*(vision|text)_model.*\.(q|v)_proj"]),
}


def answers(vlm: VLM) -> torch.Tensor:
    vlm.model.eval()
    with torch.no_grad():
        outputs = vlm.model(**batch(vlm))
    parts = [outputs.logits] if outputs.decisions is None else [outputs.logits, outputs.decisions]
    return torch.cat([part.flatten() for part in parts])


@pytest.mark.parametrize("name", ADAPT)
@pytest.mark.parametrize("settings", KINDS)
def test_everything_that_was_trained_comes_back_bit_equal(tmp_path, settings, name):
    vlm = moved(ADAPT[name](watching(settings)))
    vlm.save(tmp_path / "one")
    again = tiny(path=str(tmp_path / "one"), device="cpu")
    assert torch.equal(answers(again), answers(vlm))
    assert heads(again).keys() == heads(vlm).keys()
    assert all(torch.equal(value, heads(vlm)[part]) for part, value in heads(again).items())
    assert again.stream == for_streams(again).stream == settings
    again.save(tmp_path / "two")  # and on, without leaning on the first folder
    (tmp_path / "one").rename(tmp_path / "gone")
    assert torch.equal(answers(tiny(path=str(tmp_path / "two"), device="cpu")), answers(vlm))


@pytest.mark.parametrize("settings", [*KINDS, StreamSettings(heads="none")])
def test_an_adapter_on_a_plain_folder_brings_its_heads(tmp_path, settings):
    tiny(seed=1, device="cpu").save(tmp_path / "base")
    vlm = for_streams(tiny(path=str(tmp_path / "base"), device="cpu", stream=settings), seed=3)
    vlm = moved(lora(vlm))
    vlm.save(tmp_path / "adapter")
    assert not list((tmp_path / "adapter").glob("**/model.safetensors"))
    again = tiny(path=str(tmp_path / "adapter"), device="cpu")
    assert torch.equal(answers(again), answers(vlm))
    assert again.frame_tokens == vlm.frame_tokens


def test_an_adapter_on_a_trained_stream_model(tmp_path):
    moved(full(watching(MLP))).save(tmp_path / "base")
    vlm = moved(lora(for_streams(tiny(path=str(tmp_path / "base"), device="cpu"))))
    vlm.save(tmp_path / "adapter")
    assert torch.equal(answers(tiny(path=str(tmp_path / "adapter"), device="cpu")), answers(vlm))


@pytest.mark.parametrize("settings", KINDS)
def test_merged_and_exported_decide_the_same(tmp_path, settings):
    vlm = moved(lora(watching(settings)))
    plain = merged(vlm)
    assert isinstance(plain.model, StreamModel)
    assert (answers(plain) - answers(vlm)).abs().max() <= 1e-5
    vlm.save(tmp_path / "run")
    export(str(tmp_path / "run"), tmp_path / "whole", merge=True)
    export(str(tmp_path / "run"), tmp_path / "adapter")
    assert torch.equal(answers(tiny(path=str(tmp_path / "whole"), device="cpu")), answers(plain))
    assert torch.equal(answers(tiny(path=str(tmp_path / "adapter"), device="cpu")), answers(vlm))


@pytest.mark.parametrize("name", ADAPT)
@pytest.mark.parametrize("settings", KINDS)
def test_heads_move_under_one_step(settings, name):
    vlm = ADAPT[name](watching(settings))
    before = {part: value.clone() for part, value in heads(vlm).items()}
    vlm.model.train()
    trained = [parameter for parameter in vlm.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1.0)
    vlm.model(**batch(vlm)).decisions.sum().backward()
    optimizer.step()
    assert all(not torch.equal(value, before[part]) for part, value in heads(vlm).items())
    assert vlm.parameter_counts()["heads"] == sum(value.numel() for value in before.values())


def test_heads_are_no_target_of_an_adapter():
    with pytest.raises(UserError, match=r"decisions\.out belongs to the heads"):
        lora(watching(), targets=[r"decisions\.out"])


def test_a_folder_that_lost_its_heads_is_refused(tmp_path):
    watching().save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights = {name: value for name, value in weights.items() if "decisions" not in name}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks 2 weights.*decisions"):
        tiny(path=str(tmp_path), device="cpu")


def test_an_adapter_that_lost_its_heads_is_refused(tmp_path):
    lora(watching()).save(tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    save_file({name: value for name, value in load_file(path).items() if "decisions" not in name}, path)
    with pytest.raises(UserError, match="lacks the weights of its heads"):
        tiny(path=str(tmp_path), device="cpu")


def test_an_adapter_of_other_streams_than_its_base_is_refused(tmp_path):
    lora(watching()).save(tmp_path)
    record = json.loads((tmp_path / "stream.json").read_text())
    (tmp_path / "stream.json").write_text(json.dumps(record | {"head": "mlp"}))
    with pytest.raises(UserError, match="its base watches streams with"):
        tiny(path=str(tmp_path), device="cpu")
