"""Qwen3-VL watching streams: a frame is what a picture is to the plain model, with DeepStack and positions."""

import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoModelForImageTextToText

from prospect.conversation.sample import Picture
from prospect.errors import UserError
from prospect.models.adapt import lora
from prospect.models.dst_qwen3_vl import DSTQwen3VLConfig, DSTQwen3VLForConditionalGeneration
from prospect.models.features import encode_frames, tower_digest
from prospect.models.patches import PatchSettings
from prospect.models.stream import for_streams
from prospect.models.stream_settings import StreamSettings
from prospect.models.tiny_qwen3_vl import tiny_qwen3_vl
from prospect.models.vlm import VLM

KINDS = [StreamSettings(), StreamSettings(head="mlp"), StreamSettings(heads="token", frame_grid=[1, 2])]
NATIVE = StreamSettings(frame_grid="native")
POINTS = torch.tensor([[0, 2], [0, 11], [1, 5], [1, 12]])
PICTURES = [Image.effect_noise((64, 64), 90).convert("RGB") for _ in range(4)]


def watching(settings: StreamSettings = KINDS[0], frame: int = 64, **options) -> VLM:
    vlm = tiny_qwen3_vl(device="cpu", stream=settings, image=PatchSettings(frame=frame), **options)
    return for_streams(vlm, seed=2)


def with_frames(vlm: VLM, apart: int = 1) -> dict[str, torch.Tensor]:
    """Two rows of two frames each, with words before, between and behind them."""
    each = vlm.frame_tokens
    ids = torch.randint(10, 300, (2, 11 + apart + 2 * each), generator=torch.Generator().manual_seed(1))
    ids[:, 2 : 2 + each] = ids[:, 2 + each + apart : 2 + 2 * each + apart] = vlm.image_token_id
    return {"input_ids": ids, "frame_pixels": vlm.frame_layout.pixels(PICTURES, 4)}


def test_native_frames_are_pictures():
    """With something between them (two pictures that touch are one to transformers) all is as in the plain model."""
    plain, vlm = tiny_qwen3_vl(device="cpu").model, watching(NATIVE)
    inputs = with_frames(vlm)
    ids = inputs["input_ids"]
    whole = tiny_qwen3_vl(device="cpu", image=PatchSettings(min_pixels=4096, max_pixels=4096)).images
    pixels = whole.pixels([Picture(picture) for picture in PICTURES])
    kinds = (ids == vlm.image_token_id).int()
    expected = plain(input_ids=ids, mm_token_type_ids=kinds, **pixels).logits
    torch.testing.assert_close(vlm.model(**inputs).logits, expected, atol=1e-5, rtol=1e-5)


def test_deepstack_reaches_the_layers():
    vlm = watching(NATIVE)
    inputs = with_frames(vlm)
    features = vlm.model.frame_features(inputs.pop("frame_pixels"))
    assert features.shape == (4, 4, 2 * 96)
    before = vlm.model(**inputs, frame_features=features).logits
    features[..., 96:] = 0
    assert (vlm.model(**inputs, frame_features=features).logits - before).abs().max() > 1e-3


@pytest.mark.parametrize(("grid", "steps"), [([1], [1]), ([1, 2], [1, 0, 0, 0, 2]), ("native", [0, 0, 0, 2])])
def test_frames_take_the_places_of_pictures_of_their_grids(grid, steps):
    vlm = watching(StreamSettings(frame_grid=grid))
    ids = torch.tensor([[9, 9, *[vlm.image_token_id] * (2 * len(steps)), 9]])
    positions, ends = vlm.model.walked(ids, torch.ones_like(ids), frames=2)
    assert ends[0].diff(prepend=torch.tensor([0])).tolist() == [1, 1, *steps, *steps, 1]
    assert positions[:, 0, -1].tolist() == [2 + 2 * sum(steps)] * 3
    if grid == [1]:
        assert positions.tolist() == [[list(range(5))]] * 3
    if grid == "native":
        assert positions[:, 0, 2:6].T.tolist() == [[2, 2, 2], [2, 2, 3], [2, 3, 2], [2, 3, 3]]


def test_padding_changes_nothing():
    vlm = watching(StreamSettings(frame_grid=[1, 2]))
    inputs = with_frames(vlm) | {"decision_points": POINTS}
    alone = vlm.model(**inputs).decisions
    padded = {
        "input_ids": torch.nn.functional.pad(inputs["input_ids"], (3, 0), value=vlm.tokenizer.pad_token_id),
        "attention_mask": torch.nn.functional.pad(torch.ones_like(inputs["input_ids"]), (3, 0)),
        "decision_points": POINTS + torch.tensor([0, 3]),
        "frame_pixels": inputs["frame_pixels"],
    }
    torch.testing.assert_close(vlm.model(**padded).decisions, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("settings", KINDS)
def test_every_weight_is_learnt_and_the_folder_is_an_ordinary_one(tmp_path, settings):
    vlm = watching(settings)
    inputs = with_frames(vlm) | {"decision_points": POINTS}
    outputs = vlm.model.train()(**inputs, learnt_points=POINTS, use_cache=False)
    (outputs.logits.sum() + outputs.decisions.square().sum()).backward()
    assert [name for name, p in vlm.model.named_parameters() if p.grad is None] == []
    vlm.model.eval()
    vlm.save(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(config, DSTQwen3VLConfig)
    assert (config.heads, config.frame_size) == (settings.heads, 64)
    model, found = AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert type(model) is DSTQwen3VLForConditionalGeneration
    assert not found["missing_keys"]
    assert torch.equal(model(**inputs).decisions, vlm.model(**inputs).decisions)
    assert tiny_qwen3_vl(path=str(tmp_path)).stream == settings


def test_spare_rows_of_the_vocabulary_decide():
    vlm = watching(KINDS[2])
    assert vlm.model.config.decision_tokens == [len(vlm.tokenizer) + place for place in range(4)]


def test_an_adapter_brings_its_heads_and_its_frames(tmp_path):
    vlm = lora(watching(KINDS[2]), rank=2)
    vlm.model.eval()
    vlm.save(tmp_path)
    again = tiny_qwen3_vl(path=str(tmp_path), device="cpu")
    inputs = with_frames(vlm) | {"decision_points": POINTS}
    assert torch.equal(again.model(**inputs).decisions, vlm.model(**inputs).decisions)


def test_frames_of_another_size_are_refused(tmp_path):
    watching().save(tmp_path)
    again = tiny_qwen3_vl(path=str(tmp_path), device="cpu", image=PatchSettings(frame=32))
    with pytest.raises(UserError, match=r"frames of 2 × 2 tokens and 32-px frames are of 1 × 1: .*model\.image\.frame"):
        for_streams(again)


def test_features_are_worth_the_same_as_frames():
    vlm = watching(StreamSettings(frame_grid=[1, 2]))
    inputs = with_frames(vlm)
    features = encode_frames(vlm, PICTURES, batch=3)
    assert features.shape == (4, 5, 192)
    stored = vlm.model(input_ids=inputs["input_ids"], frame_features=features, decision_points=POINTS).decisions
    torch.testing.assert_close(stored, vlm.model(**inputs, decision_points=POINTS).decisions, atol=1e-5, rtol=1e-5)
    with pytest.raises(UserError, match=r"frames of 5 tokens × 96, but this model's are of 5 × 192"):
        vlm.model(input_ids=inputs["input_ids"], frame_features=features[..., :96])
    others = [tower_digest(each) for each in (vlm, watching(frame=32), watching(KINDS[2], seed=1))]
    assert len(set(others)) == 3
