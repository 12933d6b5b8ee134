"""The tiny Qwen3-VL: the real class, small, able to see and to watch, an ordinary folder when it is saved."""

from random import Random

import pytest
import torch
from peft import PeftModel
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer, Qwen3VLForConditionalGeneration

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import encode
from prospect.errors import UserError
from prospect.evaluation.answers import answers
from prospect.models.adapt import full, lora
from prospect.models.patches import PatchSettings
from prospect.models.tiny_qwen3_vl import tiny_qwen3_vl
from prospect.models.vlm import VLM
from prospect.training.collate import Item, collator

PICTURE = Image.frombytes("RGB", (90, 40), Random(0).randbytes(10800))
LARGE = PatchSettings(max_pixels=8192)  # up to 8 tokens a picture
SAMPLE = Sample("s", (Turn("user", (Picture(PICTURE), "Which element?")), Turn("assistant", ("\nwater",))))


def logits(vlm: VLM, sample: Sample = SAMPLE) -> torch.Tensor:
    batch = collator(vlm)([Item(sample, encode(vlm.chat(sample), vlm.tokenizer))])
    names = ("input_ids", "attention_mask", "position_ids", "pixel_values", "image_grid_thw")
    with torch.no_grad():
        return vlm.model(**{name: batch[name] for name in names}).logits


def test_it_is_the_real_class_at_three_quarters_of_a_million_parameters():
    vlm = tiny_qwen3_vl()
    assert type(vlm.model) is Qwen3VLForConditionalGeneration
    assert 650_000 < vlm.parameter_counts()["total"] < 800_000
    assert vlm.images.features(Picture(Image.new("RGB", (32, 32)))) == vlm.frame_tokens == 1
    assert vlm.model.accepts_loss_kwargs
    assert vlm.learnt_texts(SAMPLE) == ["\nwater<|im_end|>"]


def test_the_collators_positions_are_those_that_the_model_takes_by_itself():
    vlm = tiny_qwen3_vl(image=LARGE)
    ids = torch.tensor([encode(vlm.chat(SAMPLE), vlm.tokenizer).ids])
    kinds = (ids == vlm.image_token_id).int()
    assert kinds.sum() > 2
    pixels = vlm.images.pixels([Picture(PICTURE)])
    assert torch.equal(logits(vlm), vlm.model(input_ids=ids, mm_token_type_ids=kinds, **pixels).logits)


def test_answers_are_those_of_transformers_generation():
    vlm = tiny_qwen3_vl(image=LARGE, seed=4)
    other = Sample("t", (Turn("user", ("Hi, which one?",)), Turn("assistant", ("",))))
    ids = torch.tensor([encode(vlm.chat(SAMPLE, reply=False), vlm.tokenizer).ids])
    inputs = {"mm_token_type_ids": (ids == vlm.image_token_id).int(), **vlm.images.pixels([Picture(PICTURE)])}
    own = vlm.model.generate(input_ids=ids, max_new_tokens=12, do_sample=False, **inputs)[0, ids.shape[1] :]
    expected = vlm.tokenizer.decode(own, skip_special_tokens=True).strip()
    assert len(own) > 3
    assert answers(vlm, [SAMPLE], 1, 12) == [expected]
    assert answers(vlm, [SAMPLE, other], 2, 12)[0] == expected


def test_the_auto_classes_reload_it_bit_equal(tmp_path):
    vlm = tiny_qwen3_vl(seed=3, background=200, image=LARGE)
    vlm.save(tmp_path)
    model, tokenizer = AutoModelForImageTextToText.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    pixels = AutoImageProcessor.from_pretrained(tmp_path)([PICTURE], return_tensors="pt")
    own = vlm.images.pixels([Picture(PICTURE)])
    assert (pixels["pixel_values"] - own["pixel_values"]).abs().max() <= 1e-6
    assert torch.equal(logits(VLM(model, tokenizer, vlm.images)), logits(vlm))
    again = tiny_qwen3_vl(path=str(tmp_path))
    assert again.images == vlm.images
    assert torch.equal(logits(again), logits(vlm))
    assert again.model.generation_config.eos_token_id == vlm.tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_a_folder_keeps_its_sizes(tmp_path):
    tiny_qwen3_vl(width=48, layers=1).save(tmp_path)
    with pytest.raises(UserError, match=r"model\.width=96 \(it is 48\), model\.merge=3 \(it is 2\)"):
        tiny_qwen3_vl(path=str(tmp_path), width=96, layers=1, merge=3)


def test_it_learns_four_pictures():
    vlm = tiny_qwen3_vl()
    colours = {"water": (30, 60, 220), "fire": (230, 60, 20), "wood": (120, 80, 40), "metal": (150, 150, 160)}
    samples = [
        Sample(name, (Turn("user", (Picture(Image.new("RGB", (32, 32), c)),)), Turn("assistant", (name,))))
        for name, c in colours.items()
    ]
    batch = collator(vlm)([Item(sample, encode(vlm.chat(sample), vlm.tokenizer)) for sample in samples])
    inputs = {name: batch[name] for name in ("input_ids", "position_ids", "pixel_values", "image_grid_thw")}
    optimizer = torch.optim.AdamW(vlm.model.parameters(), lr=3e-3)
    for _ in range(40):
        loss = vlm.model(**inputs, labels=batch["labels"]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert answers(vlm, samples, 4, 4) == list(colours)


def test_what_is_adapted_is_what_was_asked():
    vlm = lora(tiny_qwen3_vl(), rank=2)
    names = [name for name, p in vlm.model.named_parameters() if p.requires_grad]
    assert len(names) == 3 * 7 * 2
    assert all(".language_model.layers." in name and ".lora_" in name for name in names)
    frozen = full(tiny_qwen3_vl(), freeze=[r"model\.vision_model|model\.visual\.(patch_embed|pos_embed|blocks)"])
    counts, trained = frozen.parameter_counts(), {p for p in frozen.model.parameters() if p.requires_grad}
    assert sum(p.numel() for p in trained) == counts["total"] - counts["vision"] == counts["trainable"]


def test_an_adapter_comes_back_on_its_base(tmp_path):
    vlm = lora(tiny_qwen3_vl(), rank=2)
    with torch.no_grad():
        for name, parameter in vlm.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    vlm.model.eval()
    vlm.save(tmp_path)
    again = tiny_qwen3_vl(path=str(tmp_path))
    assert isinstance(again.model, PeftModel)
    assert torch.equal(logits(again), logits(vlm))
