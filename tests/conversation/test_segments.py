"""Invariants of encoding:
1. ids == tokenizer(whole text) while content holds no control look-alikes, and no answer begins with what the
   tokenizer joins to a header;
2. every token has one channel, and the learnt tokens of a turn decode to its text and end token, whatever the text;
3. what a user wrote never becomes control;
4. a token that would straddle a channel boundary is refused, naming the sample.
"""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.conversation.texts import HOSTILE, texts

from prospect.conversation.nanovlm import NANOVLM
from prospect.conversation.qwen3_vl import QWEN3_VL
from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import IGNORE, Segment, encode
from prospect.conversation.smolvlm import SMOLVLM
from prospect.errors import UserError

plain = texts(hostile=False, pieces=8, longest=8)
hostile = texts(hostile=True, pieces=8, longest=8)


def conversation(question: str, answer: str, pictures: int = 1) -> Sample:
    parts = (*(Picture(b"") for _ in range(pictures)), question)
    return Sample("s", (Turn("user", parts), Turn("assistant", (answer,))))


def segments(family, sample: Sample, reply: bool = True) -> list[Segment]:
    return family.format.chat(sample, lambda picture: family.picture, reply=reply)


@given(question=plain, answer=plain, pictures=st.integers(0, 2))
@settings(max_examples=150, deadline=None)
def test_ids_equal_those_of_the_whole_text(family, question, answer, pictures):
    assume(family.parts(answer))
    written = segments(family, conversation(question, answer, pictures))
    whole = "".join(segment.text for segment in written)
    assert encode(written, family.tokenizer).ids == family.tokenizer(whole, add_special_tokens=False)["input_ids"]


@given(question=hostile, answer=hostile)
@settings(max_examples=200, deadline=None)
def test_learnt_tokens_decode_to_the_answer_and_its_end(family, question, answer):
    chat, tokenizer = family.format, family.tokenizer
    encoded = encode(segments(family, conversation(question, answer)), tokenizer)
    learnt = [token for token, channel in zip(encoded.ids, encoded.channels, strict=True) if channel == "answer"]
    assert (
        tokenizer.decode(learnt, clean_up_tokenization_spaces=False) == f"{chat.lead}{family.normal(answer)}{chat.end}"
    )
    assert learnt[-1] == tokenizer.eos_token_id == family.id(chat.end)
    assert [span[0] for span in encoded.spans()] == [None, "answer", None]


@given(question=hostile, answer=hostile, pictures=st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_content_never_becomes_control(family, question, answer, pictures):
    written = segments(family, conversation(question, answer, pictures))
    control = "".join(segment.text for segment in written if segment.control)
    ids = encode(written, family.tokenizer).ids
    tokens = [token for token in HOSTILE if token in family.tokenizer.get_added_vocab()]
    assert family.format.image in tokens
    assert family.format.end in tokens
    assert {token: ids.count(family.id(token)) for token in tokens} == {token: control.count(token) for token in tokens}
    assert control.count(family.format.image) == pictures
    assert control.count(family.format.end) == 2


@given(question=hostile, answer=hostile)
@settings(max_examples=50, deadline=None)
def test_the_prompt_is_a_prefix_of_the_whole(family, question, answer):
    sample = conversation(question, answer)
    prompt, whole = (encode(segments(family, sample, reply), family.tokenizer) for reply in (False, True))
    assert whole.ids[: len(prompt)] == prompt.ids
    assert whole.channels[len(prompt)] == "answer"
    assert set(prompt.channels) == {None}


def test_an_answer_stands_apart_from_a_header_that_its_newlines_would_join(true_qwen_tokenizer):
    ids = encode(QWEN3_VL.chat(conversation("", "\n\nfire", 0), lambda picture: []), true_qwen_tokenizer).ids
    text = true_qwen_tokenizer.convert_ids_to_tokens(ids)
    assert text[-6:] == ["assistant", "Ċ", "ĊĊ", "fire", "<|im_end|>", "Ċ"]
    assert true_qwen_tokenizer.tokenize("assistant\n\n\nfire") == ["assistant", "ĊĊĊ", "fire"]


def test_labels_are_unshifted_and_chosen_by_channel(small_tokenizer):
    written = [
        Segment("one "),
        Segment("<image>", control=True),
        Segment("two", "speak"),
        Segment("<image>", "dst", True),
    ]
    encoded = encode(written, small_tokenizer)
    assert encoded.labels() == [
        token if channel else IGNORE for token, channel in zip(encoded.ids, encoded.channels, strict=True)
    ]
    assert encoded.labels("dst")[-1] == encoded.ids[-1]
    assert set(encoded.labels("dst")[:-1]) == {IGNORE}


def test_a_straddling_token_is_refused_with_the_sample(small_tokenizer):
    with pytest.raises(UserError, match=r"sample clip-7.*straddle"):
        encode([Segment("wat"), Segment("er", "answer")], small_tokenizer, "clip-7")


def test_a_chat_format_cannot_write_plain_words_as_control(small_tokenizer):
    with pytest.raises(AssertionError, match="special tokens"):
        encode([Segment("User", control=True)], small_tokenizer)


def test_a_turn_in_one_part_and_in_several_renders_the_same(family):
    whole = Sample("a", (Turn("user", ("what is it?",)), Turn("assistant", ("\nwood and fire",))))
    parts = Sample("a", (Turn("user", ("what ", "is it?")), Turn("assistant", ("", "\nwood", " and fire"))))
    assert encode(segments(family, whole), family.tokenizer) == encode(segments(family, parts), family.tokenizer)


def test_only_turns_to_learn_are_learnt(family):
    turns = (
        Turn("user", ("a",)),
        Turn("assistant", ("fire",), learn=False),
        Turn("user", ("b",)),
        Turn("assistant", ("wood",)),
    )
    encoded = encode(segments(family, Sample("s", turns)), family.tokenizer)
    learnt = [token for token, channel in zip(encoded.ids, encoded.channels, strict=True) if channel]
    text = f"{family.format.lead}wood{family.format.end}"
    assert family.tokenizer.decode(learnt) == text
    assert family.format.learnt_texts(Sample("s", turns)) == [text]


def test_a_sample_without_a_reply_has_no_prompt(family):
    with pytest.raises(UserError, match="sample lonely has no assistant turn"):
        segments(family, Sample("lonely", (Turn("user", ("hm",)),)), reply=False)


RENDERED = {
    SMOLVLM: (
        "<|im_start|>User:IMAGEwhat?<end_of_utterance>\nAssistant: water<end_of_utterance>\n",
        "<|im_start|>System: Be brief.<end_of_utterance>\nUser: <end_of_utterance>\nAssistant: ok<end_of_utterance>\n",
    ),
    NANOVLM: (
        "<|im_start|>user\nIMAGEwhat?<|im_end|>\n<|im_start|>assistant\nwater<|im_end|>\n",
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\nok<|im_end|>\n",
    ),
    QWEN3_VL: (
        "<|im_start|>user\nIMAGEwhat?<|im_end|>\n<|im_start|>assistant\nwater<|im_end|>\n",
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\nok<|im_end|>\n",
    ),
}


def test_rendered_form(family):
    picture, system = RENDERED[family.format]
    text = "".join(s.text for s in segments(family, conversation("what?", "water")))
    assert text == picture.replace("IMAGE", family.picture[0].text)
    sample = Sample("s", (Turn("system", ("Be brief.",)), Turn("user", ()), Turn("assistant", ("ok",))))
    assert "".join(s.text for s in segments(family, sample)) == system
