"""nanoVLM's tokens: those of a SmolLM2, and behind them those of pictures. Stand-ins are made as in `words.py`."""

from __future__ import annotations

from tokenizers import AddedToken, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from prospect.errors import UserError
from prospect.models.words import BEGIN, SMOLVLM2_CONTROL, UNKNOWN, byte_level, plain_tokens

IMAGE, GLOBAL, END = "<|image|>", "<|global_image|>", "<|im_end|>"
GRID = 8  # there are tokens <row_1_col_1> … <row_8_col_8>
PLACES = {f"r{row}c{col}": f"<row_{row}_col_{col}>" for row in range(1, GRID + 1) for col in range(1, GRID + 1)}
EXTRA = {"image_token": IMAGE, "global_image_token": GLOBAL, **PLACES}  # by the names that nanoVLM has for them
BASE = 49152  # entries of SmolLM2's tokenizer
CONTEXT = 8192
ROLES = ("system", "user", "assistant", "dst")

# nanoVLM's own, which knows no content but a string, and has the tokens of pictures in it.
OWN_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
    "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# Renders the same of strings; of a list of parts each picture is one token.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|image|>{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def extended(tokenizer: PreTrainedTokenizerFast, source: str) -> PreTrainedTokenizerFast:
    """A language model's tokenizer with the tokens of pictures behind its own; one that has them stays as it is."""
    vocabulary = tokenizer.get_vocab()
    if all(token in vocabulary for token in EXTRA.values()):
        return tokenizer
    if lacking := [token for token in (BEGIN, END) if token not in vocabulary]:
        raise UserError(f"{source}: its tokenizer lacks {', '.join(lacking)}, so it is none of SmolLM2's family")
    backend, first = tokenizer.backend_tokenizer, len(tokenizer)
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in EXTRA.values()])
    whole = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=END,
        unk_token=UNKNOWN,
        extra_special_tokens=EXTRA,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
    ids = whole.convert_tokens_to_ids([*EXTRA.values()])
    if ids != [*range(first, first + len(EXTRA))]:
        raise UserError(f"{source}: its tokenizer has some of nanoVLM's tokens of pictures already, at other places")
    return whole


def small_tokenizer() -> PreTrainedTokenizerFast:
    """For tests: about 700 entries."""
    return _tokenizer([*dict.fromkeys([*SMOLVLM2_CONTROL, *plain_tokens(), *ROLES])])


def stand_in_tokenizer() -> PreTrainedTokenizerFast:
    """As large as nanoVLM's own and with every special token at its true id, but it knows only our few words."""
    tokens = [*dict.fromkeys([*SMOLVLM2_CONTROL, *plain_tokens(), *ROLES])]
    return _tokenizer([*tokens, *(f"<|unused_{i}|>" for i in range(BASE - len(tokens)))])


def _tokenizer(tokens: list[str]) -> PreTrainedTokenizerFast:
    digits = pre_tokenizers.Digits(individual_digits=True)
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend = byte_level(tokens, SMOLVLM2_CONTROL, [digits, words])
    return extended(PreTrainedTokenizerFast(tokenizer_object=backend), "the stand-in")
