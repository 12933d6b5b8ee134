"""The class for streams is an ordinary transformers class: of base folders and its own, tied or not."""

import copy

import pytest
import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from prospect.errors import UserError
from prospect.models.dst_smolvlm import DSTSmolVLMConfig, DSTSmolVLMForConditionalGeneration
from prospect.models.stream import for_streams
from prospect.models.stream_settings import StreamSettings
from prospect.models.tiny import tiny
from prospect.models.vlm import VLM

KINDS = [StreamSettings(), StreamSettings(head="mlp"), StreamSettings(heads="token")]
POINTS = torch.tensor([[0, 2], [0, 11], [1, 5], [1, 12]])


def watching(settings: StreamSettings = KINDS[0], **options) -> VLM:
    return for_streams(tiny(device="cpu", stream=settings, **options), seed=2)


def with_frames(vlm: VLM) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(10, 300, (2, 14), generator=generator)
    ids[:, 1:3] = vlm.image_token_id
    return {"input_ids": ids, "frame_pixels": torch.randn(4, 3, 32, 32, generator=generator)}


def test_native_keeps_the_connectors_tokens_in_their_order():
    vlm = watching(StreamSettings(frame_grid="native"), scale_factor=1)
    pixels = torch.randn(3, 3, 32, 32)
    own = vlm.model.get_image_features(pixels[None]).pooler_output[0].view(3, 16, -1)
    assert torch.equal(vlm.model.frame_features(pixels), own)
    assert vlm.frame_tokens == 16


def test_a_base_folder_loads_with_fresh_heads(tmp_path):
    plain = tiny(device="cpu", scale_factor=1)
    plain.save(tmp_path)
    options = {"output_loading_info": True, "frame_grid": [1, 2]}
    model, found = DSTSmolVLMForConditionalGeneration.from_pretrained(tmp_path, **options)
    assert found["missing_keys"] == {"decisions.out.weight", "decisions.out.bias"}
    assert not found["unexpected_keys"]
    assert model.config.frame_grid == [1, 2]
    state = model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in plain.model.state_dict().items())
    assert model.decisions.out.bias[0].sigmoid().item() == pytest.approx(0.1)
    assert model.decisions.out.weight.std() > 0
    assert model.lm_head.weight is model.get_input_embeddings().weight


@pytest.mark.parametrize("settings", KINDS)
def test_the_auto_classes_know_an_own_folder(tmp_path, settings):
    vlm = watching(settings)
    vlm.save(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(config, DSTSmolVLMConfig)
    assert (config.heads, config.frame_grid) == (settings.heads, [1])
    model, found = AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    assert type(model) is DSTSmolVLMForConditionalGeneration
    inputs = with_frames(vlm) | {"decision_points": POINTS}
    assert torch.equal(model(**inputs).decisions, vlm.model(**inputs).decisions)


def test_untied_embeddings_stay_untied(tmp_path):
    plain = tiny(device="cpu")
    for config in (plain.model.config, plain.model.config.text_config):
        config.tie_word_embeddings = False
    plain.model.lm_head.weight = torch.nn.Parameter(torch.randn(plain.model.lm_head.weight.shape))
    vlm = for_streams(plain)
    vlm.save(tmp_path)
    again = tiny(path=str(tmp_path), device="cpu").model
    assert again.lm_head.weight is not again.get_input_embeddings().weight
    assert torch.equal(again.lm_head.weight, vlm.model.lm_head.weight)


@pytest.mark.parametrize("wrong", [{"heads": "both"}, {"head": "deep"}, {"heads": "token"}, {"frame_grid": [3]}])
def test_settings_that_mean_nothing_are_refused(wrong):
    config = copy.deepcopy(watching().model.config)
    for name, value in wrong.items():
        setattr(config, name, value)
    with pytest.raises(UserError, match=r"heads|head|frame_grid"):
        DSTSmolVLMForConditionalGeneration(config)
