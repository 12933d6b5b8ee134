"""Features made beforehand are worth the same as pixels, and their digest says of which tower they are."""

from random import Random

import pytest
import torch
from PIL import Image

from prospect.models.adapt import full, lora
from prospect.models.features import encode_frames, tower_digest
from prospect.models.images import ImageSettings
from prospect.models.stream import for_streams
from prospect.models.stream_settings import StreamSettings
from prospect.models.tiny import tiny
from prospect.models.vlm import VLM

PICTURES = [Image.frombytes("RGB", (40, 32), Random(seed).randbytes(3840)) for seed in range(6)]


def watching(settings: StreamSettings | None = None, seed: int = 0, **options) -> VLM:
    vlm = tiny(device="cpu", seed=seed, scale_factor=1, stream=settings, **options)
    return for_streams(vlm, seed=2)


def batch(vlm: VLM, **frames: torch.Tensor) -> dict[str, torch.Tensor]:
    ids = torch.randint(10, 300, (2, 40), generator=torch.Generator().manual_seed(1))
    ids[:, 2 : 2 + 3 * vlm.frame_tokens] = vlm.image_token_id
    points = torch.tensor([[0, 4], [1, 30]])
    return {"input_ids": ids, "learnt_points": points, "decision_points": points, **frames}


@pytest.mark.parametrize("grid", [[1], [1, 3]])
@pytest.mark.parametrize("heads", ["binary", "token"])
def test_features_and_pixels_take_the_same_step(grid, heads):
    frozen = [r"model\.vision_model", r"model\.connector"]
    vlm = full(watching(StreamSettings(heads, frame_grid=grid)), freeze=frozen)
    features = encode_frames(vlm, PICTURES, batch=4)
    assert features.shape == (6, vlm.frame_tokens, 96)
    assert not features.requires_grad
    results = []
    for frames in ({"frame_pixels": vlm.frame_layout.pixels(PICTURES, 6)}, {"frame_features": features}):
        vlm.model.train().zero_grad()
        outputs = vlm.model(**batch(vlm, **frames), use_cache=False)
        (outputs.logits.square().mean() + outputs.decisions.square().sum()).backward()
        gradients = {name: p.grad for name, p in vlm.model.named_parameters() if p.requires_grad}
        results.append({"logits": outputs.logits, "decisions": outputs.decisions, **gradients})
    pixels, stored = results
    assert "decisions.out.weight" in pixels or "decisions.delta" in pixels
    assert all((pixels[name] - stored[name]).abs().max() <= 1e-5 for name in pixels)


def test_encoding_leaves_the_model_as_it_was():
    vlm = lora(watching(), targets=[r".*vision_model.*\.(q|v)_proj"])
    vlm.model.train()
    assert torch.equal(encode_frames(vlm, PICTURES), encode_frames(vlm, PICTURES))  # an adapter's dropout is off
    assert vlm.model.training
    assert encode_frames(vlm, []).shape == (0, 1, 96)


def test_half_precision_features_are_cast_where_they_are_used():
    vlm = watching()
    features = encode_frames(vlm, PICTURES)
    exact = vlm.model(**batch(vlm, frame_features=features)).decisions
    half = vlm.model(**batch(vlm, frame_features=features.half())).decisions
    assert (exact - half).abs().max() < 1e-2


def test_the_digest_follows_what_decides_the_features():
    one = tower_digest(watching())
    assert one == tower_digest(watching())
    assert one == tower_digest(watching(StreamSettings("token")))  # heads read features, they don't make them
    assert one == tower_digest(lora(watching()))
    others = [
        tower_digest(watching(seed=1)),
        tower_digest(watching(StreamSettings(frame_grid=[1, 2]))),
        tower_digest(watching(background=90)),
        tower_digest(watching(image=ImageSettings(letterbox=True))),
    ]
    assert len({one, *others}) == 5


def test_settings_of_pictures_that_frames_do_not_have_change_no_digest():
    assert tower_digest(watching(image=ImageSettings(split=True, size=64))) == tower_digest(watching())


def test_the_digest_sees_an_adapter_on_the_tower_and_through_one_beside_it():
    vlm = lora(watching(), targets=[r".*vision_model.*\.q_proj"])
    assert tower_digest(vlm) == tower_digest(watching())  # its first updates are zero
    with torch.no_grad():
        for name, parameter in vlm.model.named_parameters():
            if "lora_B" in name:
                parameter += 1
    assert tower_digest(vlm) != tower_digest(watching())
    assert tower_digest(lora(watching(), train=[r"model\.connector"])) == tower_digest(watching())


def test_the_digest_is_of_values_and_not_of_their_type():
    coarse = watching(dtype="bfloat16")
    digest = tower_digest(coarse)
    coarse.model.float()
    assert tower_digest(coarse) == digest
