"""Qwen3-VL: the true architectures, and ids, pixels and words as transformers' own processor has them."""

import json
from pathlib import Path
from random import Random

import pytest
import torch
import trl
from PIL import Image
from transformers import AutoConfig, AutoTokenizer, Qwen3VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import encode
from prospect.errors import UserError
from prospect.models import qwen3_vl_words
from prospect.models.patches import PatchSettings, patch_layout_of
from prospect.models.qwen3_vl import SIZES, architecture, qwen3_vl
from prospect.models.vlm import VLM

DATA = Path(__file__).parents[3] / "shared" / "data"
FOLDER = DATA / "Qwen3-VL"
TEMPLATE = (Path(trl.__file__).parent / "chat_templates" / "qwen3_vl.jinja").read_text()
here = pytest.mark.skipif(not FOLDER.is_dir(), reason="the published tokenizer and settings are not here")
COUNTS = {"2B": 2_127_532_032, "4B": 4_437_815_808, "8B": 8_767_123_696}


@pytest.mark.parametrize("size", COUNTS)
def test_parameter_counts_are_those_of_the_published_files(size):
    vlm = qwen3_vl(size, f"Qwen/Qwen3-VL-{size}-Instruct", device="meta")
    counts = vlm.parameter_counts()
    assert counts["total"] == COUNTS[size] == counts["vision"] + counts["connector"] + counts["language"]
    assert vlm.device.type == "meta"
    assert vlm.model.dtype == torch.bfloat16
    assert vlm.max_length == 262144
    assert vlm.frame_tokens == 1
    assert vlm.images.side == 8


def test_without_the_tokenizer_a_stand_in_is_used_and_said(caplog):
    vlm = qwen3_vl("2B", "Qwen/Qwen3-VL-2B-Instruct", device="meta")
    assert "Qwen3-VL's tokenizer is not at hand" in caplog.text
    true = {"<|endoftext|>": 151643, "<|im_end|>": 151645, "<|image_pad|>": 151655, "</think>": 151668}
    assert {token: vlm.tokenizer.convert_tokens_to_ids(token) for token in true} == true
    assert len(vlm.tokenizer) == 151669


def test_a_folder_of_another_size_is_refused(tmp_path):
    architecture("4B").save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"holds 4B, not size 2B; mend model\.size"):
        qwen3_vl("2B", str(tmp_path), device="meta")


@pytest.mark.skipif(not (DATA / "configs").is_dir(), reason="the published configurations are not here")
@pytest.mark.parametrize("size", SIZES)
def test_architecture_is_the_published_one(size, tmp_path):
    (tmp_path / "config.json").write_text((DATA / "configs" / f"Qwen3-VL-{size}-Instruct.json").read_text())
    published, ours = AutoConfig.from_pretrained(tmp_path), architecture(size)
    assert ours.tie_word_embeddings == published.tie_word_embeddings
    for part in ("text_config", "vision_config"):
        theirs, own = (getattr(config, part).to_dict() for config in (published, ours))
        named = json.loads((tmp_path / "config.json").read_text())[part].keys()
        for name in (named - {"model_type", "rope_scaling", "rope_theta"}) | {"rope_parameters"}:
            assert own[name] == theirs[name], name
    for name in ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id"):
        assert getattr(ours, name) == getattr(published, name)


class StillProcessor(Qwen3VLProcessor):
    """transformers' own processor, but for the video part, which cannot be built without torchvision."""

    def check_argument_for_proper_class(self, name, argument):
        return None if name == "video_processor" else super().check_argument_for_proper_class(name, argument)


def own() -> StillProcessor:
    record = json.loads((FOLDER / "preprocessor_config.json").read_text())
    images = Qwen2VLImageProcessorPil(**{k: v for k, v in record.items() if not k.endswith(("_class", "_type"))})
    return StillProcessor(images, AutoTokenizer.from_pretrained(FOLDER), None, chat_template=TEMPLATE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Everything but the weights, as the hub has it in one folder."""
    folder = tmp_path_factory.mktemp("qwen")
    for file in FOLDER.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "config.json").symlink_to(DATA / "configs" / "Qwen3-VL-2B-Instruct.json")
    return folder


@pytest.fixture(scope="module")
def model(folder) -> VLM:
    return qwen3_vl("2B", str(folder), device="meta")


def noise(width: int, height: int) -> Image.Image:
    return Image.frombytes("RGB", (width, height), Random(0).randbytes(3 * width * height))


SHAPES = [(300, 300), (640, 360), (90, 400)]
CONVERSATIONS = {
    "one image": [("user", [SHAPES[1], "Which element is this?"]), ("assistant", ["water"])],
    "several images": [("user", [*SHAPES, "What changed?"]), ("assistant", [" It moved.\n\nThen: 12 °C 🎉 水"])],
    "image last": [("user", ["\nLook:", SHAPES[1]]), ("assistant", ["ok"])],
    "system and turns": [
        ("system", ["You watch.\n"]),
        ("user", [SHAPES[2], "Now?"]),
        ("assistant", ["<think> wait </think>"]),
        ("user", ["And now?", SHAPES[0], "\n"]),
        ("assistant", ["done"]),
    ],
    "no image": [("user", ["Hello  there"]), ("assistant", ["Hi"])],
}


def both(conversation) -> tuple[Sample, list[dict], list[Image.Image]]:
    """The same conversation as our sample, and as messages and pictures for transformers."""
    turns, messages, pictures = [], [], []
    for role, parts in conversation:
        content = [{"type": "text", "text": p} if isinstance(p, str) else {"type": "image"} for p in parts]
        turns.append(Turn(role, tuple(p if isinstance(p, str) else Picture(noise(*p)) for p in parts)))
        messages.append({"role": role, "content": content})
        pictures += [noise(*part) for part in parts if not isinstance(part, str)]
    return Sample("s", tuple(turns)), messages, pictures


@here
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_ids_and_pixels_equal_those_of_transformers_processor(model, name):
    sample, messages, pictures = both(CONVERSATIONS[name])
    processor = own()
    options = {"images": pictures, "return_tensors": "pt"} if pictures else {"return_tensors": "pt"}
    whole = processor(text=[processor.apply_chat_template(messages)], **options)
    ids = encode(model.chat(sample), model.tokenizer).ids
    assert ids == whole["input_ids"][0].tolist()
    assert ids.count(model.image_token_id) == sum(map(model.images.features, sample.pictures))
    prompt = processor(text=[processor.apply_chat_template(messages[:-1], add_generation_prompt=True)], **options)
    assert encode(model.chat(sample, reply=False), model.tokenizer).ids == prompt["input_ids"][0].tolist()
    got = model.images.pixels(list(sample.pictures))
    assert got.keys() == whole.keys() & {"pixel_values", "image_grid_thw"}
    if pictures:
        assert got["image_grid_thw"].tolist() == whole["image_grid_thw"].tolist()
        assert (got["pixel_values"] - whole["pixel_values"]).abs().max() <= 1e-6


@here
def test_a_picture_of_640_by_360_has_220_tokens(model):
    assert model.images.pixels([Picture(noise(640, 360))])["image_grid_thw"].tolist() == [[1, 22, 40]]
    assert model.images.features(Picture(noise(640, 360))) == 220


@here
def test_settings_without_the_folder_are_the_published_ones(model, folder):
    built = qwen3_vl("8B", "Qwen/Qwen3-VL-8B-Instruct", device="meta", tokenizer=str(folder))
    assert built.images == patch_layout_of(FOLDER, 151655) == model.images
    smaller = qwen3_vl("2B", str(folder), device="meta", image=PatchSettings(max_pixels=1_003_520))
    assert smaller.images.features(Picture(noise(2000, 2000))) <= 980


@here
def test_words_and_template_agree_with_what_was_published(true_qwen_tokenizer):
    stand_in = qwen3_vl_words.stand_in_tokenizer()
    assert stand_in.get_added_vocab() == true_qwen_tokenizer.get_added_vocab()
    assert len(stand_in) == len(true_qwen_tokenizer)
    assert (stand_in.eos_token_id, stand_in.pad_token_id) == (151645, 151643)
    for conversation in CONVERSATIONS.values():
        _, messages, _ = both(conversation)
        messages = [*messages, {"role": "user", "content": "a plain string"}]
        for more in ({}, {"add_generation_prompt": True}):
            theirs = true_qwen_tokenizer.apply_chat_template(messages, chat_template=TEMPLATE, tokenize=False, **more)
            assert stand_in.apply_chat_template(messages, tokenize=False, **more) == theirs
