"""Exactly what was asked for is trained; an adapter comes back bit for bit, and only on its own base."""

import json
import re
from pathlib import Path
from random import Random

import pytest
import torch
from peft import PeftModel
from PIL import Image
from tests.models.watchers import moved
from transformers import AutoModelForImageTextToText

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import encode
from prospect.errors import UserError
from prospect.models.adapt import full, lora, merged
from prospect.models.tiny import tiny
from prospect.models.vlm import VLM

PICTURE = Picture(Image.frombytes("RGB", (32, 32), Random(0).randbytes(3072)))
SAMPLE = Sample("s", (Turn("user", (PICTURE, "Which element is this?")), Turn("assistant", ("water",))))


def logits(vlm: VLM) -> torch.Tensor:
    ids = encode(vlm.chat(SAMPLE), vlm.tokenizer).ids
    with torch.no_grad():
        return vlm.model(input_ids=torch.tensor([ids]), **vlm.images.pixels([PICTURE])).logits


def trainable(vlm: VLM) -> set[str]:
    return {name for name, parameter in vlm.model.named_parameters() if parameter.requires_grad}


def test_lora_trains_the_language_projections_and_nothing_else():
    vlm = lora(tiny(), rank=4)
    shape = r"base_model\.model\.model\.text_model\.layers\.\d\.(self_attn|mlp)\.\w+_proj\.lora_[AB]\.default\.weight"
    assert all(re.fullmatch(shape, name) for name in trainable(vlm))
    assert len(trainable(vlm)) == 3 * 7 * 2
    assert vlm.parameter_counts()["trainable"] == sum(4 * (i + o) for i, o in [*4 * [(96, 96)], *3 * [(96, 224)]]) * 3


def test_lora_trains_whole_modules_when_asked():
    vlm = lora(tiny(), targets=[r".*text_model\.layers\.2\..*\.q_proj"], train=[r".*connector.*"])
    names = {re.sub(r"\.(default|modules_to_save)", "", name) for name in trainable(vlm)}
    assert names == {
        "base_model.model.model.connector.modality_projection.proj.weight",
        "base_model.model.model.text_model.layers.2.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.text_model.layers.2.self_attn.q_proj.lora_B.weight",
    }


def test_the_vision_tower_is_hit_only_on_purpose():
    on_purpose = lora(tiny(), targets=[r".*vision_model.*\.(q|v)_proj"])
    assert all(".vision_model." in name for name in trainable(on_purpose))
    assert len(trainable(on_purpose)) == 4


def test_full_trains_everything_but_what_is_frozen():
    vlm = full(tiny(), freeze=[r"model\.vision_model", r"model\.connector"])
    counts = vlm.parameter_counts()
    assert counts["trainable"] == counts["language"]
    assert full(vlm).parameter_counts()["trainable"] == counts["total"]


def test_first_steps_of_an_adapter_change_nothing():
    vlm = tiny()
    before = logits(vlm)
    assert torch.equal(logits(lora(vlm)), before)


def test_seed_decides_the_adapter_and_the_global_generator_is_left_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, same, other = (lora(tiny(), seed=seed).model.state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    name = "base_model.model.model.text_model.layers.0.mlp.up_proj.lora_A.default.weight"
    assert torch.equal(one[name], same[name])
    assert not torch.equal(one[name], other[name])


@pytest.mark.parametrize("train", [[], [r"model\.connector"]])
def test_adapter_of_a_folder_comes_back_bit_equal_and_carries_no_base(tmp_path, train):
    tiny(seed=1).save(tmp_path / "base")
    vlm = moved(lora(tiny(path=str(tmp_path / "base")), train=train))
    vlm.save(tmp_path / "adapter")
    assert not list((tmp_path / "adapter").glob("**/model.safetensors"))
    again = tiny(path=str(tmp_path / "adapter"))
    assert torch.equal(logits(again), logits(vlm))
    assert not torch.equal(logits(again), logits(tiny(seed=1)))
    own = PeftModel.from_pretrained(
        AutoModelForImageTextToText.from_pretrained(tmp_path / "base"), str(tmp_path / "adapter")
    )
    assert torch.equal(logits(VLM(own, vlm.tokenizer, vlm.images)), logits(vlm))


@pytest.mark.parametrize("train", [[], [r"model\.connector"]])
def test_a_base_that_lies_nowhere_travels_with_its_adapter(tmp_path, train):
    vlm = moved(lora(tiny(seed=1), train=train))
    vlm.save(tmp_path / "staging")
    (tmp_path / "staging").rename(tmp_path / "one")
    again = tiny(path=str(tmp_path / "one"))
    assert torch.equal(logits(again), logits(vlm))
    base = AutoModelForImageTextToText.from_pretrained(tmp_path / "one" / "base")
    assert torch.equal(logits(VLM(base, vlm.tokenizer, vlm.images)), logits(tiny(seed=1)))
    again.save(tmp_path / "two")  # and on, without leaning on the first folder
    (tmp_path / "one").rename(tmp_path / "gone")
    assert torch.equal(logits(tiny(path=str(tmp_path / "two"))), logits(vlm))


def test_saving_leaves_the_training_model_alone(tmp_path):
    vlm = moved(lora(tiny()))
    before, names = logits(vlm), trainable(vlm)
    vlm.save(tmp_path)
    assert torch.equal(logits(vlm), before)
    assert trainable(vlm) == names


def test_weights_that_were_trained_are_no_longer_those_on_disk(tmp_path):
    tiny(seed=1).save(tmp_path / "base")
    trained = moved(full(tiny(path=str(tmp_path / "base"))))
    vlm = moved(lora(trained))
    vlm.save(tmp_path / "adapter")
    assert torch.equal(logits(tiny(path=str(tmp_path / "adapter"))), logits(vlm))


def adapter_on_disk(folder: Path) -> str:
    tiny(seed=1).save(folder / "base")
    lora(tiny(path=str(folder / "base"))).save(folder / "adapter")
    return str(folder / "adapter")


def test_another_base_is_refused(tmp_path):
    path = adapter_on_disk(tmp_path)
    tiny(seed=2).save(tmp_path / "base")
    with pytest.raises(UserError, match="has changed since the adapter was trained"):
        tiny(path=path)


def test_a_lost_base_is_named_and_can_be_given_anew(tmp_path):
    path = adapter_on_disk(tmp_path)
    (tmp_path / "base").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="base of the adapter"):
        tiny(path=path)
    record = tmp_path / "adapter" / "base.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"folder": str(tmp_path / "elsewhere")}))
    tiny(path=path)


def test_an_adapter_without_a_record_is_refused(tmp_path):
    path = adapter_on_disk(tmp_path)
    (tmp_path / "adapter" / "base.json").unlink()
    with pytest.raises(UserError, match=r"without base\.json"):
        tiny(path=path)


@pytest.mark.parametrize("train", [[], [r"model\.connector"]])
def test_merged_says_the_same_and_is_an_ordinary_model(tmp_path, train):
    vlm = moved(lora(tiny(), train=train))
    before = logits(vlm)
    plain = merged(vlm)
    assert (before - logits(tiny())).abs().max() > 0.1
    assert (logits(plain) - before).abs().max() <= 1e-5
    assert torch.equal(logits(vlm), before)
    plain.save(tmp_path)
    assert not (tmp_path / "adapter_config.json").exists()
    assert torch.equal(logits(tiny(path=str(tmp_path))), logits(plain))
    assert plain.model.state_dict().keys() == tiny().model.state_dict().keys()


def test_a_second_adapter_starts_on_the_merged_first(caplog):
    first = moved(lora(tiny()))
    second = lora(first, rank=2)
    assert "merged into its base" in caplog.text
    assert (logits(second) - logits(first)).abs().max() <= 1e-5
    assert len(trainable(second)) == 3 * 7 * 2


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {"targets": ["q_porj"]},
            r"adapt\.targets: no module path.*q_porj.*model\.text_model\.layers\.0\.self_attn\.q_proj",
        ),
        ({"targets": ["q_proj"]}, r"near it are: model\.text_model\.layers\.0\.self_attn\.q_proj"),
        ({"train": ["conector"]}, r"adapt\.train: no module path.*near it are: model\.connector"),
        ({"targets": [r".*\.self_attn"]}, r"self_attn is a \w+Attention, which LoRA cannot adapt"),
        ({"targets": []}, r"adapt\.targets is empty"),
        ({"rank": 0}, r"adapt\.rank must be at least 1"),
        ({"targets": ["(q_proj"]}, "is no regular expression"),
        ({"train": ["lm_head"]}, "lm_head shares its weights"),
        ({"targets": [r".*embed_tokens"]}, "embed_tokens shares its weights"),
    ],
)
def test_patterns_that_cannot_be_meant_are_refused(asked, words):
    with pytest.raises(UserError, match=words):
        lora(tiny(), **asked)


def test_a_freeze_that_names_nothing_is_refused():
    with pytest.raises(UserError, match=r"adapt\.freeze: no module path"):
        full(tiny(), freeze=["eyes"])
    with pytest.raises(UserError, match=r"adapt\.freeze: the model has no part heads; it has vision, connector, lang"):
        full(tiny(), freeze=["heads"])
    with pytest.raises(UserError, match="nothing left to train"):
        full(tiny(), freeze=["vision", "projector", "language"])


def test_gradients_are_the_same_with_checkpointing():
    ids = torch.tensor([encode(tiny().chat(SAMPLE), tiny().tokenizer).ids])

    def gradients(checkpointing: bool) -> list[torch.Tensor]:
        vlm = tiny()
        if checkpointing:
            vlm.bare.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        vlm = lora(vlm, dropout=0.0)
        vlm.model.train()
        vlm.model(input_ids=ids, labels=ids, use_cache=False, **vlm.images.pixels([PICTURE])).loss.backward()
        return [p.grad for p in vlm.model.parameters() if p.requires_grad]

    plain, saving = gradients(False), gradients(True)
    assert any(gradient.abs().max() > 0 for gradient in plain)
    assert all(torch.allclose(one, other, atol=1e-7) for one, other in zip(plain, saving, strict=True))
