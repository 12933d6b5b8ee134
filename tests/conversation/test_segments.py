"""Invariants of encoding:
1. ids == tokenizer(whole text) while content holds no control look-alikes;
2. every token has one channel, and the learnt tokens of a turn decode to its text and end token, whatever the text;
3. what a user wrote never becomes control;
4. a token that would straddle a channel boundary is refused, naming the sample.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conversation.texts import HOSTILE, texts

from prospect.conversation import smolvlm
from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import IGNORE, Segment, encode
from prospect.errors import UserError

plain = texts(hostile=False, pieces=8, longest=8)
hostile = texts(hostile=True, pieces=8, longest=8)
IMAGE = [Segment("<fake_token_around_image><global-img><image><fake_token_around_image>", control=True)]


def conversation(question: str, answer: str, pictures: int = 1) -> Sample:
    parts = (*(Picture(b"") for _ in range(pictures)), question)
    return Sample("s", (Turn("user", parts), Turn("assistant", (answer,))))


def segments(sample: Sample, reply: bool = True) -> list[Segment]:
    return smolvlm.chat(sample, lambda picture: IMAGE, reply=reply)


@given(question=plain, answer=plain, pictures=st.integers(0, 2))
@settings(max_examples=150, deadline=None)
def test_ids_equal_those_of_the_whole_text(tokenizer, question, answer, pictures):
    written = segments(conversation(question, answer, pictures))
    whole = "".join(segment.text for segment in written)
    assert encode(written, tokenizer).ids == tokenizer(whole, add_special_tokens=False)["input_ids"]


@given(question=hostile, answer=hostile)
@settings(max_examples=200, deadline=None)
def test_learnt_tokens_decode_to_the_answer_and_its_end(tokenizer, question, answer):
    encoded = encode(segments(conversation(question, answer)), tokenizer)
    learnt = [token for token, channel in zip(encoded.ids, encoded.channels, strict=True) if channel == "answer"]
    assert tokenizer.decode(learnt, clean_up_tokenization_spaces=False) == f" {answer}<end_of_utterance>"
    assert learnt[-1] == tokenizer.eos_token_id
    assert [span[0] for span in encoded.spans()] == [None, "answer", None]


@given(question=hostile, answer=hostile, pictures=st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_content_never_becomes_control(tokenizer, question, answer, pictures):
    ids = encode(segments(conversation(question, answer, pictures)), tokenizer).ids
    count = {token: ids.count(tokenizer.convert_tokens_to_ids(token)) for token in HOSTILE if token.startswith("<")}
    assert count == {"<image>": pictures, "<end_of_utterance>": 2, "<|im_start|>": 1, "<global-img>": pictures}


@given(question=hostile, answer=hostile)
@settings(max_examples=50, deadline=None)
def test_the_prompt_is_a_prefix_of_the_whole(tokenizer, question, answer):
    sample = conversation(question, answer)
    prompt, whole = encode(segments(sample, reply=False), tokenizer), encode(segments(sample), tokenizer)
    assert whole.ids[: len(prompt)] == prompt.ids
    assert whole.channels[len(prompt)] == "answer"
    assert set(prompt.channels) == {None}


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


def test_a_turn_in_one_part_and_in_several_renders_the_same(tokenizer):
    whole = Sample("a", (Turn("user", ("what is it?",)), Turn("assistant", ("wood and fire",))))
    parts = Sample("a", (Turn("user", ("what ", "is it?")), Turn("assistant", ("wood", " and fire"))))
    assert encode(segments(whole), tokenizer) == encode(segments(parts), tokenizer)


def test_only_turns_to_learn_are_learnt(small_tokenizer):
    turns = (
        Turn("user", ("a",)),
        Turn("assistant", ("fire",), learn=False),
        Turn("user", ("b",)),
        Turn("assistant", ("wood",)),
    )
    encoded = encode(segments(Sample("s", turns)), small_tokenizer)
    learnt = [token for token, channel in zip(encoded.ids, encoded.channels, strict=True) if channel]
    assert small_tokenizer.decode(learnt) == " wood<end_of_utterance>"
    assert smolvlm.learnt_texts(Sample("s", turns)) == [" wood<end_of_utterance>"]


def test_a_sample_without_a_reply_has_no_prompt(small_tokenizer):
    with pytest.raises(UserError, match="sample lonely has no assistant turn"):
        segments(Sample("lonely", (Turn("user", ("hm",)),)), reply=False)


def test_rendered_form():
    text = "".join(s.text for s in segments(conversation("what?", "water")))
    image = IMAGE[0].text
    assert text == f"<|im_start|>User:{image}what?<end_of_utterance>\nAssistant: water<end_of_utterance>\n"
    system = Sample("s", (Turn("system", ("Be brief.",)), Turn("user", ()), Turn("assistant", ("ok",))))
    assert "".join(s.text for s in segments(system)) == (
        "<|im_start|>System: Be brief.<end_of_utterance>\nUser: <end_of_utterance>\nAssistant: ok<end_of_utterance>\n"
    )
