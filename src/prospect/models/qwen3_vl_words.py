"""Tokenizers made on the spot with Qwen3-VL's special tokens, made like those of `words.py`.

Text is split as Qwen splits it, so a header's newline joins those behind it, and is put into normal form C before.
"""

from __future__ import annotations

from tokenizers import AddedToken, Regex, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from prospect.models.words import byte_level, plain_tokens

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VISION_START, VISION_END, IMAGE, VIDEO = "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"

# In the order and, behind the published words, at the ids at which Qwen3-VL has them.
BOXES = tuple(f"<|{shape}_{end}|>" for shape in ("object_ref", "box", "quad") for end in ("start", "end"))
SPECIAL = (PAD, START, END, *BOXES, VISION_START, VISION_END, "<|vision_pad|>", IMAGE, VIDEO)
ORDINARY = (  # one token each, though no special one
    "<tool_call>",
    "</tool_call>",
    *(f"<|fim_{part}|>" for part in ("prefix", "middle", "suffix", "pad")),
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
)
PUBLISHED_WORDS = 151643
ROLES = ("system", "user", "assistant", "dst")

WORD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

# The published one renders the same of plain conversations; what it adds are tools and videos.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def small_tokenizer() -> PreTrainedTokenizerFast:
    """The tiny model's tokenizer: about 700 entries."""
    return _tokenizer([*dict.fromkeys([*plain_tokens(), *ROLES])])


def stand_in_tokenizer() -> PreTrainedTokenizerFast:
    """As large as Qwen3-VL's own and with every special token at its true id, but it knows only our few words."""
    tokens = [*dict.fromkeys([*plain_tokens(), *ROLES])]
    return _tokenizer([*tokens, *(f"<|unused_{i}|>" for i in range(PUBLISHED_WORDS - len(tokens)))])


def _tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    split = pre_tokenizers.Split(Regex(WORD), behavior="isolated")
    spelled = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer = byte_level([*words, *SPECIAL, *ORDINARY], SPECIAL, [split, spelled])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in ORDINARY])
    tokenizer.normalizer = normalizers.NFC()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        extra_special_tokens={
            "image_token": IMAGE,
            "video_token": VIDEO,
            "vision_bos_token": VISION_START,
            "vision_eos_token": VISION_END,
        },
        model_max_length=262144,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
