"""At true format: with the published tokenizer and settings our ids are those of transformers' own processor."""

import json
from dataclasses import asdict
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, SmolVLMProcessor

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import encode
from prospect.models.images import ImageSettings, layout_of, tokens_a_tile
from prospect.models.loading import tokenizer_of
from prospect.models.smolvlm import architecture, smolvlm2
from prospect.models.vlm import VLM
from prospect.models.words import CHAT_TEMPLATE, stand_in_tokenizer

DATA = Path(__file__).parents[3] / "shared" / "data"
FOLDERS = {
    "2.2b": DATA / "SmolVLM2-2.2B-Instruct",
    "500m": DATA / "SmolVLM2-500M-Video-Instruct",
    "256m": DATA / "SmolVLM2-256M-Video-Instruct",
}
TOKENIZER = FOLDERS["2.2b"]  # one serves all sizes
QUESTION = "Classify this image into one of these elements: water, land, fire, wood, metal.\n\nElement:"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the published tokenizer and settings are not here")


class StillProcessor(SmolVLMProcessor):
    """transformers' own processor, but for the video part, which cannot be built without torchvision."""

    def check_argument_for_proper_class(self, name, argument):
        return None if name == "video_processor" else super().check_argument_for_proper_class(name, argument)


def own(size: str) -> StillProcessor:
    folder = FOLDERS[size]
    return StillProcessor(
        AutoImageProcessor.from_pretrained(folder),
        tokenizer_of(TOKENIZER, CHAT_TEMPLATE),
        SimpleNamespace(num_frames=1, fps=1),
        image_seq_len=json.loads((folder / "processor_config.json").read_text())["image_seq_len"],
        chat_template=json.loads((folder / "chat_template.json").read_text())["chat_template"],
    )


def model(size: str, split: bool) -> VLM:
    tokenizer = str(TOKENIZER)
    return smolvlm2(size, str(FOLDERS[size]), device="meta", tokenizer=tokenizer, image=ImageSettings(split=split))


def noise(width: int, height: int) -> Image.Image:
    return Image.frombytes("RGB", (width, height), Random(0).randbytes(3 * width * height))


SHAPES = [(300, 300), (640, 360), (90, 400)]
CONVERSATIONS = {
    "one image": [("user", [SHAPES[0], QUESTION]), ("assistant", ["water"])],
    "several images": [("user", [*SHAPES, "What changed?"]), ("assistant", [" It moved.\n\nThen: 12 °C 🎉 水"])],
    "image last": [("user", ["Look:", SHAPES[1]]), ("assistant", ["ok"])],
    "system and turns": [
        ("system", ["You watch.\n"]),
        ("user", [SHAPES[2], "Now?"]),
        ("assistant", ["wait"]),
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
        seen = [noise(*part) for part in parts if not isinstance(part, str)]
        turns.append(Turn(role, tuple(p if isinstance(p, str) else Picture(noise(*p)) for p in parts)))
        messages.append({"role": role, "content": content})
        pictures += seen
    return Sample("s", tuple(turns)), messages, pictures


@pytest.mark.parametrize("split", [True, False], ids=["split", "unsplit"])
@pytest.mark.parametrize("size", ["500m", "2.2b"])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_ids_equal_those_of_transformers_processor(size, split, name):
    sample, messages, pictures = both(CONVERSATIONS[name])
    vlm, processor = model(size, split), own(size)
    options = {"images": pictures, "do_image_splitting": split} if pictures else {}
    whole = processor(text=processor.apply_chat_template(messages), **options)
    assert encode(vlm.chat(sample), vlm.tokenizer).ids == whole["input_ids"][0]
    prompt = processor(text=processor.apply_chat_template(messages[:-1], add_generation_prompt=True), **options)
    assert encode(vlm.chat(sample, reply=False), vlm.tokenizer).ids == prompt["input_ids"][0]


@pytest.mark.parametrize(("size", "split", "count"), [
    ("500m", True, 1162),
    ("500m", False, 102),
    ("2.2b", True, 1451),
    ("2.2b", False, 119),
])  # fmt: skip
def test_tokens_of_one_square_image_and_a_short_question(size, split, count):
    sample, _, _ = both(CONVERSATIONS["one image"])
    vlm = model(size, split)
    assert len(encode(vlm.chat(sample), vlm.tokenizer)) == count


def test_pixels_are_those_of_the_published_settings():
    picture = noise(640, 360)
    for split in (True, False):
        expected = AutoImageProcessor.from_pretrained(FOLDERS["2.2b"])(
            [[picture]], return_tensors="pt", do_image_splitting=split
        )
        got = model("2.2b", split).images.pixels([Picture(picture)])
        assert (got["pixel_values"] - expected["pixel_values"]).abs().max() <= 1e-6


def test_template_and_stand_in_agree_with_what_was_published():
    true, stand_in = tokenizer_of(TOKENIZER, CHAT_TEMPLATE), stand_in_tokenizer()
    assert true.chat_template == CHAT_TEMPLATE
    assert json.loads((FOLDERS["500m"] / "chat_template.json").read_text())["chat_template"] == CHAT_TEMPLATE
    special = {token.content: index for index, token in true.added_tokens_decoder.items()}
    assert special == {token.content: index for index, token in stand_in.added_tokens_decoder.items()}
    assert [len(true.tokenize(f" {word}")) for word in ("water", "land", "fire", "wood", "metal")] == [1] * 5


@pytest.mark.parametrize("size", FOLDERS)
def test_architecture_is_the_published_one(size):
    published, ours = AutoConfig.from_pretrained(FOLDERS[size]), architecture(size)
    text = ("hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim "
            "vocab_size max_position_embeddings rms_norm_eps rope_parameters hidden_act attention_bias mlp_bias "
            "pad_token_id tie_word_embeddings")  # fmt: skip
    vision = ("hidden_size intermediate_size num_hidden_layers num_attention_heads image_size patch_size num_channels "
              "hidden_act layer_norm_eps")  # fmt: skip
    for name in text.split():
        assert getattr(ours.text_config, name) == getattr(published.text_config, name), name
    for name in vision.split():
        assert getattr(ours.vision_config, name) == getattr(published.vision_config, name), name
    assert (ours.scale_factor, ours.image_token_id) == (published.scale_factor, published.image_token_id)
    assert ours.tie_word_embeddings is published.tie_word_embeddings is False


@pytest.mark.parametrize("size", FOLDERS)
def test_image_settings_without_the_folder_are_the_published_ones(size):
    built = smolvlm2(size, "HuggingFaceTB/SmolVLM2", device="meta", tokenizer=str(TOKENIZER))
    published = layout_of(FOLDERS[size], tokens_a_tile(built.model.config))
    assert asdict(built.images) == asdict(published)
