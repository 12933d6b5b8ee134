"""Claim: what TRL tokenises and prepares is what supervised training does, whatever the family and the pictures."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.models import nanovlms
from trl import apply_chat_template
from trl.data_utils import prepare_multimodal_messages

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import Segment, encode
from prospect.models.images import ImageSettings
from prospect.models.tiny import tiny
from prospect.models.tiny_qwen3_vl import tiny_qwen3_vl
from prospect.training.collate import Item, collator
from prospect.training.trl_processor import BEGIN, ESCAPE, TRLProcessor, marked, messages, pictures, unmarked

FAMILIES = {
    "tiny": lambda folder: tiny(device="cpu"),
    "tiles": lambda folder: tiny(device="cpu", image=ImageSettings(split=True, size=96)),
    "qwen": lambda folder: tiny_qwen3_vl(device="cpu"),
    "nanovlm": nanovlms.small,
}


@pytest.fixture(params=FAMILIES, scope="module")
def model(request, tmp_path_factory):
    return FAMILIES[request.param](tmp_path_factory.mktemp("words"))


def asked(name: str, *parts, system: str = "") -> Sample:
    before = [Turn("system", (system,))] if system else []
    return Sample(name, (*before, Turn("user", parts), Turn("assistant", ("fire <image> and 水",))))


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    wide, high = Picture(nanovlms.noise(80, 40)), Picture(nanovlms.noise(30, 70, seed=1))
    black = Picture(Image.new("RGB", (32, 32)))
    return [
        asked("one", wide, "what is it?"),
        asked("text", "no picture, though I type <image> and <|im_start|> and <|image|>"),
        asked("several", high, "and then", wide, " what comes next?", black, system="Look closely."),
        asked("blank", Picture(nanovlms.noise(64, 64), blank=True), "what is it?"),
    ]


def prompts(samples) -> list[list[dict]]:
    rows = [sample.turns[:-1] for sample in samples]
    return [prepare_multimodal_messages(messages(turns), pictures(turns)) for turns in rows]


def prompt_ids(vlm, sample) -> list[int]:
    return encode(vlm.chat(sample, reply=False), vlm.tokenizer, sample.id).ids


def batch_of(vlm, samples) -> dict:
    return collator(vlm)([Item(sample, encode(vlm.chat(sample), vlm.tokenizer, sample.id)) for sample in samples])


def tiles(pixels: dict) -> torch.Tensor:
    """All that are pictures, one behind the other: tiles of zeros fill rows up."""
    x = pixels["pixel_values"]
    return x if x.dim() == 2 else x.flatten(0, 1)[x.flatten(0, 1).flatten(1).any(1)]


def test_prompts_for_generation_are_those_of_supervised_training(model, samples):
    made = TRLProcessor(model).apply_chat_template(prompts(samples), tokenize=True, add_generation_prompt=True)
    assert made["input_ids"] == [prompt_ids(model, sample) for sample in samples]
    assert torch.equal(tiles(made), tiles(batch_of(model, samples)))


def test_prompts_for_scoring_are_the_same_after_their_way_through_a_text(model, samples):
    processor = TRLProcessor(model)
    texts = [apply_chat_template({"prompt": prompt}, processor)["prompt"] for prompt in prompts(samples)]
    images = [pictures(sample.turns) for sample in samples]
    made = processor(images=images, text=texts, padding=True, return_tensors="pt")
    for row, mask, sample in zip(made["input_ids"], made["attention_mask"], samples, strict=True):
        assert row[mask.bool()].tolist() == prompt_ids(model, sample)
    assert torch.equal(tiles(made), tiles(batch_of(model, samples)))


def test_pairs_cut_apart_are_whole_conversations_up_to_the_end_token(model, samples):
    processor = TRLProcessor(model)
    for sample, prompt in zip(samples, prompts(samples), strict=True):
        reply = messages(sample.turns[-1:])
        cut = apply_chat_template({"prompt": prompt, "chosen": reply, "rejected": reply}, processor)
        ids = [processor(text=[cut[part]])["input_ids"][0] for part in ("prompt", "chosen")]
        whole = encode(model.chat(sample), model.tokenizer, sample.id)
        assert ids[0] == prompt_ids(model, sample)
        assert ids[1] == [token for token, label in zip(whole.ids, whole.labels(), strict=True) if label != -100]


def test_a_batch_of_words_alone_has_no_pixels(model, samples):
    made = TRLProcessor(model).apply_chat_template(prompts([samples[1]]), tokenize=True, add_generation_prompt=True)
    assert set(made) == {"input_ids", "attention_mask"}


@torch.no_grad()
def test_the_model_says_the_same_of_a_mixed_batch_and_of_each_alone(model, samples):
    """Padding, neighbours and the tiles that fill rows up change nothing: also the places of pictures are right."""
    processor, vlm = TRLProcessor(model), model
    texts = [apply_chat_template({"prompt": prompt}, processor)["prompt"] for prompt in prompts(samples)]
    images = [pictures(sample.turns) for sample in samples]
    together = vlm.model(**processor(images=images, text=texts, padding=True)).logits[:, -1]
    for row, sample in zip(together, samples, strict=True):
        batch = batch_of(vlm, [sample])
        length = len(prompt_ids(vlm, sample))
        inputs = {key: batch[key] for key in ("input_ids", "attention_mask", "position_ids")}
        alone = vlm.model(**inputs, **vlm.images.pixels(list(sample.pictures))).logits[0, length - 1]
        assert torch.allclose(row, alone, atol=1e-4), sample.id


words = st.sampled_from(["a", "<image>", "\n", *map(chr, range(0xFDD0, 0xFDD6))])
segments = st.lists(
    st.one_of(
        st.sampled_from(["<image>", "<|im_start|><|im_end|>"]).map(lambda text: Segment(text, control=True)),
        st.lists(words, min_size=1).map("".join).map(Segment),
    )
)


@given(segments)
@settings(max_examples=200, deadline=None)
def test_marks_are_read_as_they_were_written(written):
    assert marked(unmarked(marked(written))) == marked(written)
    assert "".join(s.text for s in unmarked(marked(written))) == "".join(s.text for s in written)
    assert [s.text for s in unmarked(marked(written)) if s.control] == [s.text for s in written if s.control]


def test_a_mark_that_a_user_typed_makes_no_special_token(model):
    sample = asked("typed", f"{BEGIN}<image>{ESCAPE}")
    made = TRLProcessor(model).apply_chat_template(prompts([sample]), tokenize=True, add_generation_prompt=True)
    assert made["input_ids"] == [prompt_ids(model, sample)]
    assert model.image_token_id not in made["input_ids"][0]


def test_what_it_saves_is_what_a_model_folder_needs(model, tmp_path):
    TRLProcessor(model).save_pretrained(tmp_path)
    model.save(tmp_path / "whole")
    for name in ("tokenizer.json", "preprocessor_config.json"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
