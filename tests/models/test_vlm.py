"""What is saved is an ordinary transformers folder, and comes back bit for bit."""

import json
from pathlib import Path
from random import Random

import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer, SmolVLMProcessor

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import encode
from prospect.errors import UserError
from prospect.models.images import ImageSettings
from prospect.models.tiny import tiny
from prospect.models.vlm import VLM

PICTURE = Image.frombytes("RGB", (50, 40), Random(0).randbytes(6000))
SAMPLE = Sample("s", (Turn("user", (Picture(PICTURE), "Which element is this?")), Turn("assistant", ("water",))))


def logits(vlm: VLM, sample: Sample = SAMPLE) -> torch.Tensor:
    ids = encode(vlm.chat(sample), vlm.tokenizer).ids
    with torch.no_grad():
        return vlm.model(input_ids=torch.tensor([ids]), **vlm.images.pixels(list(sample.pictures))).logits


def test_auto_classes_reload_it_bit_equal(tmp_path):
    vlm = tiny(image=ImageSettings(split=True, size=64))
    expected = logits(vlm)
    vlm.save(tmp_path)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path)
    state = vlm.model.state_dict()
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    pixels = processor([[PICTURE]], return_tensors="pt")
    assert (pixels["pixel_values"] - vlm.images.pixels([Picture(PICTURE)])["pixel_values"]).abs().max() <= 1e-6
    again = VLM(model, tokenizer, vlm.images)
    assert torch.equal(logits(again), expected)


def test_our_own_reload_is_bit_equal_with_its_image_settings(tmp_path):
    vlm = tiny(seed=3, background=200, image=ImageSettings(split=True, size=96, letterbox=True))
    vlm.save(tmp_path)
    again = tiny(path=str(tmp_path))
    assert again.images == vlm.images
    assert torch.equal(logits(again), logits(vlm))


def test_folder_holds_what_transformers_processor_needs(tmp_path):
    """AutoProcessor itself needs torchvision for its video part; the files it reads are there either way."""
    vlm = tiny()
    vlm.save(tmp_path)
    record, _ = SmolVLMProcessor.get_processor_dict(tmp_path)
    assert record["image_seq_len"] == 1
    assert record["chat_template"] == vlm.tokenizer.chat_template
    assert json.loads((tmp_path / "preprocessor_config.json").read_text())["video_sampling"]["max_frames"] == 64
    assert not list(tmp_path.rglob("*.bin")) + list(tmp_path.rglob("*.pt"))


def test_auto_processor_where_torchvision_is_installed(tmp_path):
    pytest.importorskip("torchvision")
    from transformers import AutoProcessor

    vlm = tiny()
    vlm.save(tmp_path)
    processor = AutoProcessor.from_pretrained(tmp_path)
    user = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which element is this?"}]}]
    text = processor.apply_chat_template(user, add_generation_prompt=True)
    prompt = encode(vlm.chat(SAMPLE, reply=False), vlm.tokenizer).ids
    assert processor(images=[PICTURE], text=text)["input_ids"][0] == prompt


def test_generation_ends_at_the_end_token(tmp_path):
    vlm = tiny()
    vlm.save(tmp_path)
    config = AutoModelForImageTextToText.from_pretrained(tmp_path).generation_config
    assert config.eos_token_id == vlm.tokenizer.convert_tokens_to_ids("<end_of_utterance>")
    assert config.pad_token_id == vlm.tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_counts_are_by_part_and_count_tied_weights_once():
    counts = tiny().parameter_counts()
    assert counts["total"] == counts["trainable"] == counts["vision"] + counts["connector"] + counts["language"]
    assert counts["connector"] == 64 * 16 * 96
    assert counts["total"] == sum(p.numel() for p in tiny().model.parameters())


def test_shapes_alone_are_not_saved(tmp_path):
    with pytest.raises(UserError, match="device=meta"):
        tiny(device="meta").save(tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_prompt_is_the_beginning_of_the_whole():
    vlm = tiny()
    prompt = encode(vlm.chat(SAMPLE, reply=False), vlm.tokenizer).ids
    assert encode(vlm.chat(SAMPLE), vlm.tokenizer).ids[: len(prompt)] == prompt
    assert vlm.learnt_texts(SAMPLE) == [" water<end_of_utterance>"]


def damaged(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights.pop("model.connector.modality_projection.proj.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.filterwarnings("ignore")
def test_missing_weights_are_not_replaced_by_random_ones(tmp_path):
    tiny().save(tmp_path)
    damaged(tmp_path)
    with pytest.raises(UserError, match=r"lacks 1 weights.*modality_projection"):
        tiny(path=str(tmp_path))


def test_a_folder_without_weights_says_so(tmp_path):
    tiny().save(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match="holds no weights"):
        tiny(path=str(tmp_path))


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    from prospect.models.words import stand_in_tokenizer

    tiny().save(tmp_path)
    stand_in_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="tokenizer doesn't fit"):
        tiny(path=str(tmp_path))
