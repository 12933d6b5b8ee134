"""Offline tokenizers: words are single tokens, every text survives, special tokens stand where SmolVLM2 has them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from prospect.models.words import CHAT_TEMPLATE, WORDS, plain_tokens, small_tokenizer, stand_in_tokenizer

SMALL, STAND_IN = small_tokenizer(), stand_in_tokenizer()
BOTH = pytest.mark.parametrize("tokenizer", [SMALL, STAND_IN], ids=["small", "stand-in"])


def plain(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


@BOTH
def test_every_word_is_one_token_with_and_without_its_blank(tokenizer):
    assert len(set(WORDS)) == len(WORDS)
    for word in (*WORDS, "User", "Assistant", "System", "->", "Now"):
        assert len(plain(tokenizer, word)) == len(plain(tokenizer, f" {word}")) == 1, word


@BOTH
@given(text=st.text(max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_text_survives(tokenizer, text):
    assert tokenizer.decode(plain(tokenizer, text)) == text


@pytest.mark.parametrize("text", ["<image>", "<end_of_utterance> <|im_start|>", "🎉 水\n\n  '5 12 <row_1_col_1>"])
@BOTH
def test_look_alikes_are_plain_characters(tokenizer, text):
    ids = plain(tokenizer, text)
    assert tokenizer.decode(ids) == text
    assert not set(ids) & set(tokenizer.added_tokens_decoder)


def test_stand_in_has_smolvlm2s_special_tokens_at_their_true_ids():
    true = {
        "<|endoftext|>": 0,
        "<|im_start|>": 1,
        "<|im_end|>": 2,
        "<empty_output>": 16,
        "<global-img>": 49152,
        "<row_1_col_1>": 49153,
        "<row_6_col_6>": 49188,
        "<fake_token_around_image>": 49189,
        "<image>": 49190,
        "<|reserved_special_token_0|>": 49191,
        "<|reserved_special_token_87|>": 49278,
        "<end_of_utterance>": 49279,
    }
    assert len(STAND_IN) == 49280
    assert {token: STAND_IN.convert_tokens_to_ids(token) for token in true} == true
    assert (STAND_IN.bos_token_id, STAND_IN.eos_token_id, STAND_IN.pad_token_id) == (1, 49279, 2)


def test_small_vocabulary_is_small_and_bytes_are_all_there():
    assert len(SMALL) < 800
    assert len(plain_tokens()[:256]) == len({token for token in plain_tokens() if len(token) == 1}) == 256


@BOTH
def test_saved_and_loaded_it_is_the_same(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "<|im_start|>User:<image>Attach the red disc? S1->complete 水 12<end_of_utterance>\nAssistant: done"
    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert plain(loaded, text) == plain(tokenizer, text)
    assert loaded.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    assert loaded.chat_template == CHAT_TEMPLATE
    assert (loaded.image_token, loaded.eos_token) == ("<image>", "<end_of_utterance>")
