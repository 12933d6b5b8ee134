"""Tokenizers made on the spot, without any download: bytes, a list of words, and SmolVLM2's special tokens.

Text is split as SmolVLM2 splits it (single digits, then words with their leading blank). A word of the list is one
token, everything else falls back to bytes, so every text survives encoding and decoding.
"""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from prospect.models.images import FAKE, GLOBAL, GRID, IMAGE

UNKNOWN, BEGIN, PAD, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<end_of_utterance>"

# Byte for byte the published one: TRL recognises it by comparison. It renders a content given as a plain string as
# nothing at all, which is why prospect writes conversations itself and only passes the template on.
CHAT_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ELEMENTS = _words("water land fire wood metal")
COLOURS = _words("red orange yellow green blue purple pink brown black white grey cyan")
SHAPES = _words("disc square triangle star cross ring diamond heart hexagon pentagon arrow crescent bar oval drop gear")
PARTS = _words("base body wheel axle cabin roof door arm head wing hook bucket ladder bumper chassis engine screw")
FUNCTION_WORDS = _words(
    "a an the this that these it is are was be has of to on in into at by for from with and or not no yes you your I "
    "we what which where how do does did can should will now then next first last before after again here there "
    "one two three four five six all only left right top bottom"
)
ASSISTANT_WORDS = _words(
    "step steps list part parts toy colour shape element elements classify picture image frame show shows shown see "
    "look name word answer question reason because attach put take place add remove turn hold check start started "
    "stop wait go continue finish finished done complete progress pending mistake wrong correct good great well "
    "missing ready fix state task plan order instead back need please"
)
WORDS = ELEMENTS + COLOURS + SHAPES + PARTS + FUNCTION_WORDS + ASSISTANT_WORDS
# These also open a sentence, so they have a capitalised form.
OPENERS = _words(
    "a the this that it is you what which where how do now next first then after no not yes attach put take place add "
    "remove turn stop wait start good great well done all step part answer element classify reason"
)
NAMES = ("User", "Assistant", "System", "S", "->", "OK", "None")  # as they are, with and without a leading blank

ROWS = tuple(f"<row_{row}_col_{col}>" for row in range(1, GRID + 1) for col in range(1, GRID + 1))
SMALL_RESERVE = 8  # spare special tokens of the small vocabulary, for whatever a later task must be able to say

SMOLVLM2_VOCABULARY = 49280
SMOLVLM2_CONTROL = (
    UNKNOWN,
    BEGIN,
    PAD,
    *_words("<repo_name> <reponame> <file_sep> <filename> <gh_stars> <issue_start> <issue_comment> <issue_closed>"),
    *_words("<jupyter_start> <jupyter_text> <jupyter_code> <jupyter_output> <jupyter_script> <empty_output>"),
)


def small_tokenizer() -> PreTrainedTokenizerFast:
    """The tiny model's tokenizer: about 700 entries, in the order in which SmolVLM2 has them."""
    tokens = [UNKNOWN, BEGIN, PAD, *plain_tokens()]
    return _tokenizer(tokens, (UNKNOWN, BEGIN, PAD, *picture_tokens(SMALL_RESERVE)))


def stand_in_tokenizer() -> PreTrainedTokenizerFast:
    """As large as SmolVLM2's own and with every special token at its true id, but it knows only our few words."""
    tail = picture_tokens(reserve=88)
    tokens = [*SMOLVLM2_CONTROL, *plain_tokens()]
    unused = SMOLVLM2_VOCABULARY - len(tokens) - len(tail)
    return _tokenizer([*tokens, *(f"<|unused_{i}|>" for i in range(unused))], (*SMOLVLM2_CONTROL, *tail))


def plain_tokens() -> list[str]:
    """256 bytes, then the words, in the byte-level spelling in which a leading blank is `Ġ`."""
    capitalised = [word.capitalize() for word in OPENERS]
    written = [form for word in (*NAMES, *WORDS, *capitalised) for form in (word, f"Ġ{word}")]
    return list(dict.fromkeys([*sorted(pre_tokenizers.ByteLevel.alphabet()), *written]))


def picture_tokens(reserve: int) -> tuple[str, ...]:
    """SmolVLM2's own special tokens in its order: they close the vocabulary, the end token last."""
    spare = (f"<|reserved_special_token_{i}|>" for i in range(reserve))
    return (GLOBAL, *ROWS, FAKE, IMAGE, *spare, END)


def token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    index = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(index, int)
    return index


def byte_level(tokens: list[str], special: tuple[str, ...], splits: list[pre_tokenizers.PreTokenizer]) -> Tokenizer:
    """Tokens by their number, behind them those of `special` that are not among them. `splits` part texts."""
    vocabulary = {token: index for index, token in enumerate(tokens)}
    # No merges: with ignore_merges a whole word that is in the vocabulary is one token, any other word its bytes.
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splits)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def _tokenizer(tokens: list[str], special: tuple[str, ...]) -> PreTrainedTokenizerFast:
    digits = pre_tokenizers.Digits(individual_digits=True)
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=byte_level(tokens, special, [digits, words]),
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        extra_special_tokens={
            "image_token": IMAGE,
            "fake_image_token": FAKE,
            "global_image_token": GLOBAL,
            "end_of_utterance_token": END,
        },
        model_max_length=8192,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
