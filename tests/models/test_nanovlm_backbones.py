"""A fresh nanoVLM sees as its tower does and speaks as its language model does."""

from __future__ import annotations

import json

import pytest
import torch
from tests.models.nanovlms import noise
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    SiglipConfig,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from prospect.conversation.sample import Picture
from prospect.errors import UserError
from prospect.models import nanovlm_words
from prospect.models.export import export
from prospect.models.nanovlm import Sizes, nanovlm
from prospect.models.nanovlm_words import EXTRA
from prospect.models.vlm import VLM

NAME = "lusxvr/nanoVLM-230M-8k"


def tower(**more) -> SiglipVisionConfig:
    values = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    return SiglipVisionConfig(**values, image_size=32, patch_size=8, **more)


def language(folder, **more) -> LlamaForCausalLM:
    """A SmolLM2 with its tokenizer, as the hub has them."""
    whole = nanovlm_words.small_tokenizer()
    base = json.loads(whole.backend_tokenizer.to_str())
    base["added_tokens"] = [token for token in base["added_tokens"] if token["content"] not in EXTRA.values()]
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(json.dumps(base))
    names = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    record = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": "not ours", **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(record))
    values = {"hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 4}
    values |= {"vocab_size": len(whole) - len(EXTRA), "tie_word_embeddings": True, "max_position_embeddings": 512}
    torch.manual_seed(3)
    model = LlamaForCausalLM(LlamaConfig(**values | {"num_key_value_heads": 2, "rms_norm_eps": 1e-5, **more})).eval()
    model.save_pretrained(folder)
    return model


def whole_siglip(folder) -> SiglipVisionModel:
    """The tower as it is published, with a text model beside it."""
    text = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = SiglipModel(SiglipConfig(text_config={**text, "vocab_size": 50}, vision_config=tower().to_dict()))
    model.save_pretrained(folder)
    return model.vision_model


def alone(folder) -> SiglipVisionModel:
    model = SiglipVisionModel(tower())
    model.save_pretrained(folder)
    return model


def begun(folder, **more) -> VLM:
    names = {"vision": str(folder / "tower"), "language": str(folder / "text")}
    return nanovlm(NAME, init="backbones", **names, sizes=Sizes(scale_factor=2), device="cpu", **more)


@torch.no_grad()
@pytest.mark.parametrize("make", [whole_siglip, alone])
@pytest.mark.parametrize("tied", [True, False])
def test_a_fresh_one_from_backbones_sees_and_speaks_as_they_do(tmp_path, make, tied):
    seeing, speaking = make(tmp_path / "tower").eval(), language(tmp_path / "text", tie_word_embeddings=tied)
    vlm = begun(tmp_path)
    old = speaking.config.vocab_size
    assert len(vlm.tokenizer) == vlm.model.config.text_config.vocab_size == old + 66
    assert vlm.image_token_id == old == vlm.tokenizer.convert_tokens_to_ids("<|image|>")
    ids = torch.arange(3, 40)[None]
    assert torch.equal(vlm.model(input_ids=ids).logits[..., :old], speaking(input_ids=ids).logits)
    pixels = vlm.images.pixels([Picture(noise(20, 20))])["pixel_values"]
    expected = seeing(pixels[0]).last_hidden_state
    assert (vlm.model.model.vision_model(pixels[0]).last_hidden_state - expected).abs().max() <= 1e-5
    rows = vlm.model.get_input_embeddings().weight[old:]
    assert 0.015 < rows.std() < 0.025
    assert 0.015 < vlm.model.model.connector.modality_projection.proj.weight.std() < 0.025
    assert (vlm.model.lm_head.weight is vlm.model.get_input_embeddings().weight) is tied
    assert vlm.tokenizer.chat_template == nanovlm_words.CHAT_TEMPLATE
    assert vlm.max_length == 512
    vlm.save(tmp_path / "saved")
    back = export(str(tmp_path / "saved"), tmp_path / "back", layout="nanovlm")
    again = nanovlm(str(back), device="cpu")
    assert torch.equal(again.model(input_ids=ids).logits, vlm.model(input_ids=ids).logits)
    assert json.loads((back / "config.json").read_text())["lm_model_type"] == str(tmp_path / "text")


def test_on_meta_backbones_need_no_weights(tmp_path):
    alone(tmp_path / "tower")
    language(tmp_path / "text")
    for part in ("tower", "text"):
        (tmp_path / part / "model.safetensors").unlink()
    names = {"vision": str(tmp_path / "tower"), "language": str(tmp_path / "text"), "sizes": Sizes(scale_factor=2)}
    assert nanovlm(NAME, init="backbones", device="meta", **names).parameter_counts()["total"] > 0
    with pytest.raises(UserError, match="tower holds no weights"):
        nanovlm(NAME, init="backbones", device="cpu", **names)


def test_backbones_that_do_not_fit_are_refused(tmp_path):
    alone(tmp_path / "tower")
    language(tmp_path / "text", vocab_size=1000)
    with pytest.raises(UserError, match=r"model\.language: .*has 1000 embeddings"):
        begun(tmp_path)
    with pytest.raises(UserError, match=r"model\.vision: .* is of type llama"):
        nanovlm(NAME, init="backbones", vision=str(tmp_path / "text"), language=str(tmp_path / "text"), device="cpu")
    with pytest.raises(UserError, match=r"model\.language: .* is of type siglip_vision_model"):
        nanovlm(NAME, init="backbones", vision=str(tmp_path / "tower"), language=str(tmp_path / "tower"), device="cpu")
    SiglipVisionModel(tower(hidden_act="gelu")).save_pretrained(tmp_path / "tower")
    with pytest.raises(UserError, match="hidden_act=gelu, and nanoVLM is built with gelu_pytorch_tanh"):
        begun(tmp_path)
    with pytest.raises(UserError, match=r"leave out model\.weights=random"):
        nanovlm(NAME, init="backbones", weights="random")
