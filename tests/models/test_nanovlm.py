"""nanoVLM: its true size, its own format, and every way in which one is begun."""

from __future__ import annotations

import pytest
import torch
from tests.models.nanovlms import SMALL, noise, small

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import encode
from prospect.errors import UserError
from prospect.models import hub, nanovlm_words
from prospect.models.adapt import full, lora
from prospect.models.export import export
from prospect.models.nanovlm import Sizes, nanovlm
from prospect.models.nanovlm_words import OWN_TEMPLATE
from prospect.models.stream import for_streams
from prospect.models.stream_settings import StreamSettings
from prospect.models.tiles import TileSettings
from prospect.models.vlm import VLM

NAME = "lusxvr/nanoVLM-230M-8k"


def test_the_true_size_on_meta_needs_no_download(caplog):
    vlm = nanovlm(NAME, device="meta")
    counts = vlm.parameter_counts()
    assert counts["total"] == 228_063_936 == counts["vision"] + counts["connector"] + counts["language"]
    assert (counts["vision"], counts["connector"]) == (86_433_024, 768 * 16 * 576)
    assert vlm.max_length == 8192
    assert vlm.images.tokens == 64
    assert "a stand-in has the same size" in caplog.text
    assert len(vlm.tokenizer) == 49218
    ids = {"<|im_start|>": 1, "<|im_end|>": 2, "<|image|>": 49152, "<|global_image|>": 49153, "<row_8_col_8>": 49217}
    assert {token: vlm.tokenizer.convert_tokens_to_ids(token) for token in ids} == ids


@pytest.fixture(scope="module")
def true(true_nanovlm_tokenizer, tmp_path_factory) -> VLM:
    """The true architecture and words."""
    folder = tmp_path_factory.mktemp("true")
    true_nanovlm_tokenizer.save_pretrained(folder)
    return nanovlm(NAME, device="meta", tokenizer=str(folder))


def own_images(shapes: list[tuple[int, int]], grids: list[tuple[int, int]]) -> str:
    """The text of a message's pictures by nanoVLM's description."""
    text = ""
    for number, (rows, columns) in enumerate(grids):
        text += f"<image: {number}>" if len(shapes) > 1 else ""
        text += "<|global_image|>" + "<|image|>" * 64
        if (rows, columns) != (1, 1):
            for row in range(rows):
                for column in range(columns):
                    text += f"<row_{row + 1}_col_{column + 1}>" + "<|image|>" * 64
    return text


CONVERSATIONS = {
    "text only": ([], [], ["Hello  there", "Hi"]),
    "one image": ([(300, 400)], [(1, 1)], ["What is it?", "water"]),
    "tiles": ([(640, 360)], [(2, 2)], ["What is it?", "12 °C 🎉 水"]),
    "many tiles": ([(2000, 900)], [(2, 4)], ["1. Where?\n", "Left.\n\nThen right", "And now?", "done"]),
    "several": ([(90, 400), (600, 512), (3000, 3000)], [(1, 1), (2, 2), (4, 4)], ["What changed?", "It moved."]),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_ids_are_those_of_its_own_format(true, name):
    shapes, grids, texts = CONVERSATIONS[name]
    roles = ["user", "assistant"] * (len(texts) // 2)
    pictures = tuple(Picture(noise(*shape)) for shape in shapes)
    turns = [Turn(role, (text,)) for role, text in zip(roles, texts, strict=True)]
    sample = Sample("s", (Turn("user", (*pictures, texts[0])), *turns[1:]))
    own = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
    own[0]["content"] = own_images(shapes, grids) + own[0]["content"]
    for vlm_ids, messages, more in (
        (encode(true.chat(sample), true.tokenizer).ids, own, False),
        (encode(true.chat(sample, reply=False), true.tokenizer).ids, own[:-1], True),
    ):
        options = {"chat_template": OWN_TEMPLATE, "tokenize": False, "add_generation_prompt": more}
        text = true.tokenizer.apply_chat_template(messages, **options)
        assert vlm_ids == true.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert true.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=more) == text
        assert vlm_ids.count(true.image_token_id) == sum(map(true.images.features, pictures))
    learnt = encode(true.chat(sample), true.tokenizer).labels()
    expected = "".join(f"{text}<|im_end|>" for text in texts[1::2])
    assert true.tokenizer.decode([token for token in learnt if token >= 0]) == expected


def test_the_stand_in_has_the_published_special_tokens(true):
    stand_in = nanovlm_words.stand_in_tokenizer()
    assert stand_in.get_added_vocab() == true.tokenizer.get_added_vocab()
    assert (
        (stand_in.eos_token_id, stand_in.pad_token_id)
        == (2, 2)
        == (
            true.tokenizer.eos_token_id,
            true.tokenizer.pad_token_id,
        )
    )
    assert stand_in.image_token == "<|image|>"


def test_random_weights_follow_the_seed_and_the_sizes(tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, same, other = small(tmp_path), small(tmp_path), small(tmp_path, seed=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(one.model.lm_head.weight, same.model.lm_head.weight)
    assert not torch.equal(one.model.lm_head.weight, other.model.lm_head.weight)
    assert (one.images.tile, one.images.tokens, one.images.size) == (32, 16, 128)
    one.save(tmp_path / "saved")
    again = nanovlm(str(tmp_path / "saved"), sizes=SMALL, device="cpu", image=TileSettings(size=64))
    assert torch.equal(again.model.lm_head.weight, one.model.lm_head.weight)
    assert again.images.size == 64
    with pytest.raises(UserError, match=r"model\.sizes\.width=96 \(it is 48\)"):
        nanovlm(str(tmp_path / "saved"), sizes=Sizes(width=96, layers=2), device="cpu")


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        (Sizes(width=50), r"model\.sizes\.width=50 must be a multiple of model\.sizes\.heads=9"),
        (Sizes(kv_heads=2), r"model\.sizes\.heads=9 must be a multiple of model\.sizes\.kv_heads=2"),
        (Sizes(vision_width=50), r"vision_width=50 .* model\.sizes\.vision_heads=12"),
        (Sizes(tile=100), r"tile=100 .* model\.sizes\.patch=16"),
        (Sizes(scale_factor=5), "tiles of 32 × 32 patches"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes, said):
    with pytest.raises(UserError, match=said):
        nanovlm(NAME, weights="random", sizes=sizes, device="meta")


def test_only_what_is_needed_is_brought(monkeypatch):
    asked = []
    monkeypatch.setattr(hub, "fetched", lambda path, key="model.path", weights=True: asked.append((path, key, weights)))
    monkeypatch.setattr(hub, "at_hand", lambda path: asked.append(path))
    model = {"path": NAME, "vision": "a/tower", "language": "a/text", "weights": "pretrained", "init": None}
    hub.bring(model)
    hub.bring(model | {"init": "random"})
    hub.bring(model | {"init": "backbones"})
    both = [("a/tower", "model.vision", True), ("a/text", "model.language", True)]
    assert asked == [(NAME, "model.path", True), NAME, *both]


def test_its_name_without_a_hub_is_said():
    with pytest.raises(UserError, match=f"model.path={NAME}: there is no such folder here"):
        nanovlm(NAME, device="cpu")


def test_what_is_adapted_is_what_was_asked(tmp_path):
    vlm = lora(small(tmp_path), rank=2)
    names = [name for name, p in vlm.model.named_parameters() if p.requires_grad]
    assert len(names) == 2 * 7 * 2
    assert all(".text_model.layers." in name and ".lora_" in name for name in names)
    frozen = full(small(tmp_path), freeze=[r"model\.vision_model|model\.visual\.(patch_embed|pos_embed|blocks)"])
    counts = frozen.parameter_counts()
    assert counts["trainable"] == counts["total"] - counts["vision"]
    whole = lora(small(tmp_path), rank=2, train=[r"model\.connector"])
    assert any("connector" in name for name, p in whole.model.named_parameters() if p.requires_grad)


def test_the_end_token_which_is_padding_too_gets_its_gradient(tmp_path):
    vlm = small(tmp_path)
    ids = torch.tensor([[1, 5, 2, 6, 2]])
    vlm.model(input_ids=ids, labels=ids).loss.backward()
    hidden = vlm.model.model.text_model.embed_tokens
    assert hidden.padding_idx is None
    assert hidden.weight.grad[2].abs().max() > 0


def test_it_watches_streams_and_comes_back(tmp_path):
    vlm = for_streams(small(tmp_path, stream=StreamSettings(frame_grid=[1, 2])))
    assert vlm.frame_tokens == 5
    assert vlm.family.format.image == "<|image|>"
    frames = torch.rand(3, 3, 32, 32)
    ids = torch.tensor([[1, *[vlm.image_token_id] * 15, 7]])
    points = torch.tensor([[0, 5], [0, 10], [0, 15]])
    with torch.no_grad():
        expected = vlm.model(input_ids=ids, frame_pixels=frames, decision_points=points).decisions
        vlm.save(tmp_path / "watching")
        again = nanovlm(str(tmp_path / "watching"), device="cpu")
        assert torch.equal(again.model(input_ids=ids, frame_pixels=frames, decision_points=points).decisions, expected)
    assert again.family is vlm.family
    with pytest.raises(UserError, match="no place for frames"):
        export(str(tmp_path / "watching"), tmp_path / "no", layout="nanovlm")
    with pytest.raises(UserError, match="heads=token needs 4 spare tokens"):
        for_streams(small(tmp_path, stream=StreamSettings(heads="token")))
