"""The tiny model: SmolVLM's own class, deterministic, small, and able to see."""

from random import Random

import pytest
import torch
from PIL import Image
from transformers import SmolVLMForConditionalGeneration

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import encode
from prospect.errors import UserError
from prospect.models.tiny import tiny


def test_it_is_the_real_class_at_half_a_million_parameters():
    vlm = tiny()
    assert type(vlm.model) is SmolVLMForConditionalGeneration
    assert 450_000 < vlm.parameter_counts()["total"] < 600_000
    assert vlm.images.tokens == 1
    assert vlm.max_length == 8192


def test_seed_decides_the_weights_and_the_global_generator_is_left_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one = tiny(seed=1).model.state_dict()
    assert torch.equal(torch.rand(3), expected)
    same, other = tiny(seed=1).model.state_dict(), tiny(seed=2).model.state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    matrices = [name for name in one if one[name].dim() > 1]
    assert matrices
    assert not any(torch.equal(one[name], other[name]) for name in matrices)


def test_first_weights_follow_the_recipe():
    model = tiny().model
    text = model.model.text_model.layers[0].mlp.up_proj.weight
    tower = model.model.vision_model.encoder.layers[0].mlp.fc2.weight
    patches = model.model.vision_model.embeddings.patch_embedding.weight
    connector = model.model.connector.modality_projection.proj.weight
    assert text.std().item() == pytest.approx(0.05, rel=0.05)
    for weight in (tower, patches, connector):
        assert weight.std().item() == pytest.approx(weight[0].numel() ** -0.5, rel=0.05)


def test_patches_keep_their_places():
    """Position ids of SmolVLM are the identity only for some grids; ours must be one of them."""
    vision = tiny().model.model.vision_model.embeddings
    pixels, mask = torch.zeros(1, 3, 32, 32), torch.ones(1, 4, 4, dtype=torch.bool)
    positions = vision(pixels, mask)[0] - vision.patch_embedding(pixels).flatten(2).transpose(1, 2)[0]
    assert torch.allclose(positions, vision.position_embedding.weight, atol=1e-6)


def test_scale_factor_sets_the_tokens_a_picture():
    vlm = tiny(scale_factor=2)
    assert vlm.images.tokens == 4
    picture = Picture(Image.frombytes("RGB", (32, 32), Random(0).randbytes(3072)))
    sample = Sample("s", (Turn("user", (picture, "look")), Turn("assistant", ("done",))))
    ids = encode(vlm.chat(sample), vlm.tokenizer).ids
    assert ids.count(vlm.image_token_id) == 4
    vlm.model(input_ids=torch.tensor([ids]), **vlm.images.pixels([picture]))


def test_it_learns_four_pictures():
    vlm = tiny()
    colours = {"water": (30, 60, 220), "fire": (230, 60, 20), "wood": (120, 80, 40), "metal": (150, 150, 160)}
    samples = [
        Sample(name, (Turn("user", (Picture(Image.new("RGB", (32, 32), c)),)), Turn("assistant", (name,))))
        for name, c in colours.items()
    ]
    rows = [encode(vlm.chat(sample), vlm.tokenizer) for sample in samples]
    batch = {"input_ids": torch.tensor([row.ids for row in rows])}
    batch |= vlm.images.pixels([picture for sample in samples for picture in sample.pictures])
    labels = torch.tensor([row.labels() for row in rows])
    optimizer = torch.optim.AdamW(vlm.model.parameters(), lr=3e-3)
    for _ in range(40):
        loss = vlm.model(**batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    guesses = vlm.model(**batch).logits[:, :-1].argmax(-1)
    learnt = labels[:, 1:] != -100
    assert torch.equal(guesses[learnt], labels[:, 1:][learnt])


@pytest.mark.parametrize(
    ("sizes", "word"),
    [
        ({"width": 100}, "multiple of 24"),
        ({"vision_width": 60}, "multiple of 16"),
        ({"tile": 40}, "multiple of model.patch"),
    ],
)
def test_sizes_that_cannot_be_built_are_refused(sizes, word):
    with pytest.raises(UserError, match=word):
        tiny(**sizes)


def test_a_folder_keeps_its_sizes(tmp_path):
    tiny(width=48, layers=1).save(tmp_path)
    assert tiny(path=str(tmp_path), width=48).model.config.text_config.hidden_size == 48
    with pytest.raises(UserError, match=r"model\.width=96 \(it is 48\), model\.background=3 \(it is 128\)"):
        tiny(path=str(tmp_path), width=96, layers=1, background=3)


def test_devices_are_named_in_the_message():
    with pytest.raises(UserError, match=r"model\.device=gpu"):
        tiny(device="gpu")
