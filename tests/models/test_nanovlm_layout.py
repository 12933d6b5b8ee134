"""nanoVLM's own checkpoints: the same numbers through transformers' class, and back bit for bit."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.models.nanovlms import SMALL, checkpoint, logits, noise, small, words
from transformers import AutoModelForImageTextToText, SmolVLMForConditionalGeneration

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import encode
from prospect.errors import UserError
from prospect.evaluation.answers import answers
from prospect.models.adapt import lora
from prospect.models.export import export
from prospect.models.loading import trained
from prospect.models.nanovlm import nanovlm
from prospect.models.nanovlm_layout import positions_kept
from prospect.models.tiles import TileSettings
from prospect.models.tiny import tiny
from prospect.models.vlm import VLM

SHAPES = {
    "text": [],
    "one tile": [(20, 30)],
    "tiles": [(90, 40)],
    "several": [(128, 100), (10, 10), (33, 64)],
}


def sample(shapes) -> Sample:
    pictures = [Picture(noise(*shape, seed)) for seed, shape in enumerate(shapes)]
    return Sample("s", (Turn("user", (*pictures, "Which element is this?")), Turn("assistant", ("water",))))


def ours(vlm: VLM, sample: Sample) -> tuple[torch.Tensor, dict]:
    ids = torch.tensor([encode(vlm.chat(sample), vlm.tokenizer).ids])
    return ids, vlm.images.pixels(list(sample.pictures))


@pytest.fixture
def own(tmp_path):
    config, state = checkpoint(tmp_path / "own")
    return tmp_path, config, state


def opened(folder, **options) -> VLM:
    return nanovlm(str(folder / "own"), tokenizer=words(folder), device="cpu", **options)


@torch.no_grad()
@pytest.mark.parametrize("shapes", SHAPES)
def test_logits_are_those_of_its_description(own, shapes):
    folder, config, state = own
    vlm = opened(folder)
    assert type(vlm.model) is SmolVLMForConditionalGeneration
    ids, pixels = ours(vlm, sample(SHAPES[shapes]))
    expected = logits(config, state, ids, pixels["pixel_values"][0] if pixels else None)
    assert expected.std() > 0.5
    assert (vlm.model(input_ids=ids, **pixels).logits - expected).abs().max() <= 1e-4


@torch.no_grad()
@pytest.mark.parametrize("shapes", SHAPES)
def test_greedy_answers_are_those_of_its_description(own, shapes):
    folder, config, state = own
    vlm, asked = opened(folder), sample(SHAPES[shapes])
    prompt = torch.tensor([encode(vlm.chat(asked, reply=False), vlm.tokenizer).ids])
    pixels = vlm.images.pixels(list(asked.pictures))
    tiles = pixels["pixel_values"][0] if pixels else None
    ids = prompt
    while ids.shape[1] < prompt.shape[1] + 8:
        ids = torch.cat([ids, logits(config, state, ids, tiles)[:, -1:].argmax(2)], dim=1)
    new = vlm.model.generate(input_ids=prompt, max_new_tokens=8, min_new_tokens=8, do_sample=False, **pixels)
    assert torch.equal(new, ids)
    text = vlm.tokenizer.decode(ids[0, prompt.shape[1] :], skip_special_tokens=True).strip()
    assert answers(vlm, [asked, sample([(50, 50)])], 2, 8)[0] == text


def same(folder, config, state) -> bool:
    got = load_file(folder / "model.safetensors")
    assert json.loads((folder / "config.json").read_text()) == config
    return got.keys() == state.keys() and all(torch.equal(got[name], state[name]) for name in state)


def test_there_and_back_is_bit_equal_by_way_of_transformers_folder(own):
    folder, config, state = own
    vlm = opened(folder)
    vlm.save(folder / "saved")
    assert export(str(folder / "saved"), folder / "back", layout="nanovlm") == folder / "back"
    assert same(folder / "back", config, state)
    again = nanovlm(str(folder / "back"), device="cpu")  # its tokenizer lies beside
    assert all(torch.equal(value, vlm.model.state_dict()[name]) for name, value in again.model.state_dict().items())


def test_half_precision_comes_back_as_it_was(own):
    folder, config, state = own
    halves = {name: value if "inv_freq" in name else value.bfloat16() for name, value in state.items()}
    save_file(halves, folder / "own" / "model.safetensors")
    opened(folder, dtype="bfloat16").save(folder / "saved")
    assert same(export(str(folder / "saved"), folder / "back", layout="nanovlm"), config, halves)


def test_embeddings_that_are_not_tied_come_back_apart(tmp_path):
    config, state = checkpoint(tmp_path / "own", lm_tie_weights=False)
    state["decoder.token_embedding.weight"] = state["decoder.head.weight"] + 1
    save_file(state, tmp_path / "own" / "model.safetensors")
    vlm = opened(tmp_path)
    assert not torch.equal(vlm.model.lm_head.weight, vlm.model.get_input_embeddings().weight)
    vlm.save(tmp_path / "saved")
    assert same(export(str(tmp_path / "saved"), tmp_path / "back", layout="nanovlm"), config, state)


def test_either_end_of_tied_embeddings_may_be_in_the_file(own):
    folder, _, state = own
    head = state.pop("decoder.head.weight")
    save_file(state | {"decoder.token_embedding.weight": head}, folder / "own" / "model.safetensors")
    model = opened(folder).model
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert torch.equal(model.lm_head.weight, head)


def test_saved_it_is_an_ordinary_folder(own):
    folder, _, _ = own
    vlm = opened(folder)
    vlm.save(folder / "saved")
    model = AutoModelForImageTextToText.from_pretrained(folder / "saved")
    ids, pixels = ours(vlm, sample(SHAPES["several"]))
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids, **pixels).logits, vlm.model(input_ids=ids, **pixels).logits)
    again = nanovlm(str(folder / "saved"), device="cpu")
    assert (again.images, again.family) == (vlm.images, vlm.family)
    assert again.tokenizer.get_vocab() == vlm.tokenizer.get_vocab()
    assert again.model.generation_config.eos_token_id == vlm.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert again.model.generation_config.pad_token_id == again.model.generation_config.eos_token_id
    assert again.model.config.text_config.pad_token_id is None


def test_an_adapter_knows_its_base_in_its_own_layout(own):
    folder, config, state = own
    vlm = lora(opened(folder), rank=2)
    with torch.no_grad():
        for name, parameter in vlm.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    vlm.model.eval()
    vlm.save(folder / "adapter")
    assert not list((folder / "adapter").glob("**/model.safetensors"))
    ids, pixels = ours(vlm, sample(SHAPES["tiles"]))
    with torch.no_grad():
        expected = vlm.model(input_ids=ids, **pixels).logits
        assert torch.equal(trained(str(folder / "adapter"), {}).model(input_ids=ids, **pixels).logits, expected)
    with pytest.raises(UserError, match="add --merged"):
        export(str(folder / "adapter"), folder / "no", layout="nanovlm")
    export(str(folder / "adapter"), folder / "back", merge=True, layout="nanovlm")
    back = load_file(folder / "back" / "model.safetensors")
    changed = {name for name, value in state.items() if not torch.equal(back[name], value)}
    layers = range(config["lm_n_blocks"])
    kinds = [*(f"attn.{n}_proj" for n in ("q", "k", "v", "out")), *(f"mlp.{n}_proj" for n in ("gate", "up", "down"))]
    assert changed == {f"decoder.blocks.{i}.{kind}.weight" for i in layers for kind in kinds}
    with torch.no_grad():
        assert (logits(config, back, ids, pixels["pixel_values"][0]) - expected).abs().max() <= 1e-4


def test_what_training_changed_goes_back_and_the_size_of_pictures_with_it(tmp_path):
    vlm = small(tmp_path)
    vlm.save(tmp_path / "saved")
    nanovlm(str(tmp_path / "saved"), device="cpu", image=TileSettings(size=64)).save(tmp_path / "smaller")
    export(str(tmp_path / "smaller"), tmp_path / "back", layout="nanovlm")
    again = nanovlm(str(tmp_path / "back"), device="cpu", sizes=SMALL)
    assert again.images.size == 64
    assert torch.equal(again.model.lm_head.weight, vlm.model.lm_head.weight)


def test_other_models_have_no_such_layout(tmp_path):
    tiny(device="cpu").save(tmp_path / "tiny")
    with pytest.raises(UserError, match="holds a smolvlm and no nanoVLM"):
        export(str(tmp_path / "tiny"), tmp_path / "no", layout="nanovlm")
    with pytest.raises(UserError, match="holds a smolvlm that is no nanoVLM"):
        nanovlm(str(tmp_path / "tiny"), device="cpu")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"vit_cls_flag": True}, "vit_cls_flag=True cannot be had"),
        ({"lm_dropout": 0.1}, r"lm_dropout=0\.1 cannot be had"),
        ({"vit_dropout": 0.1}, r"vit_dropout=0\.1 cannot be had"),
        ({"lm_attn_scaling": 0.5}, r"lm_attn_scaling=0\.5"),
        ({"mp_image_token_length": 9}, "are not 9 tokens"),
        ({"vlm_extra_tokens": {"image_token": "<|image|>"}}, "vlm_extra_tokens"),
        (
            {"vit_img_size": 38, "vit_patch_size": 2, "mp_pixel_shuffle_factor": 19, "mp_image_token_length": 1},
            "19 × 19",
        ),
    ],
)
def test_what_transformers_cannot_do_is_refused(tmp_path, changed, said):
    folder = tmp_path / "own"
    checkpoint(folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(UserError, match=said):
        opened(tmp_path)


def test_a_configuration_of_another_version_and_unknown_weights_are_refused(own):
    folder, config, state = own
    save_file(state | {"decoder.extra.weight": torch.zeros(1)}, folder / "own" / "model.safetensors")
    with pytest.raises(UserError, match=r"nanoVLM has no weight decoder\.extra\.weight"):
        opened(folder)
    del state["MP.proj.weight"]
    save_file(state, folder / "own" / "model.safetensors")
    with pytest.raises(UserError, match=r"lacks 1 weights.*modality_projection"):
        opened(folder)
    (folder / "own" / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "max_img_size"}))
    with pytest.raises(UserError, match="lacks max_img_size"):
        opened(folder)


def test_grids_in_which_the_tower_keeps_positions():
    assert [side for side in (8, 14, 16, 19, 24, 25, 27, 29, 32, 64) if not positions_kept(side)] == [19, 25, 29]
