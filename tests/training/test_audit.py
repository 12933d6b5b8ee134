"""Each fault stops the run before step 0, naming data set, split, index and sample."""

from __future__ import annotations

import dataclasses

import pytest

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import Segment
from prospect.errors import UserError
from prospect.models.tiny import tiny
from prospect.models.vlm import VLM
from prospect.training import audit
from prospect.training.audit import encoded_split, summary


def sample(picture, *turns: Turn) -> Sample:
    question = Turn("user", (Picture(picture), "what is it?"))
    return Sample("img-3", (question, *(turns or (Turn("assistant", ("fire",)),))))


def audited(vlm, *samples, limit=None):
    return encoded_split(vlm, samples, "zoo/train", limit)


def test_a_sound_split_passes_and_is_summed_up(vlm, picture):
    items = audited(vlm, sample(picture), sample(picture))
    numbers = summary(items)
    assert (numbers.samples, numbers.learnt, numbers.by_channel) == (2, 4, {"answer": 4})
    assert numbers.longest == len(items[0].encoded)


def test_nothing_to_learn(vlm, picture):
    with pytest.raises(UserError, match=r"zoo/train\[1\] \(img-3\): no token is learnt"):
        audited(vlm, sample(picture), sample(picture, Turn("assistant", ("fire",), learn=False)))


def test_image_count_mismatch(vlm, picture):
    class Doubling(type(vlm.images)):
        def segments(self, picture):
            return super().segments(picture) * 2

    fields = {field.name: getattr(vlm.images, field.name) for field in dataclasses.fields(vlm.images)}
    broken = dataclasses.replace(vlm, images=Doubling(**fields))
    with pytest.raises(UserError, match=r"zoo/train\[0\].*2 image tokens against 1 image features"):
        audited(broken, sample(picture))


def test_over_long_prompt(vlm, picture):
    with pytest.raises(UserError, match=r"zoo/train\[0\].*tokens, over the limit of 12"):
        audited(vlm, sample(picture), limit=12)
    long = Turn("assistant", ("fire " * vlm.max_length,))
    with pytest.raises(UserError, match="over the limit of 8192"):
        audited(vlm, sample(picture, long))


def test_wrong_decoded_target(vlm, picture):
    class Forgetful(VLM):
        """A chat format that leaves the end token out of what is learnt, as systems in the wild do."""

        def chat(self, sample, reply=True):
            written = super().chat(sample, reply)
            return [dataclasses.replace(s, channel=None) if s.control else s for s in written]

    broken = Forgetful(**{field.name: getattr(vlm, field.name) for field in dataclasses.fields(vlm)})
    with pytest.raises(UserError, match=r"decode to ' fire', the turn is ' fire<end_of_utterance>'"):
        audited(broken, sample(picture))


def test_a_learnt_role_header_is_caught(vlm, picture):
    class Greedy(VLM):
        def chat(self, sample, reply=True):
            return [
                dataclasses.replace(s, channel="answer") if s.text == "Assistant:" else s for s in super().chat(sample)
            ]

    broken = Greedy(**{field.name: getattr(vlm, field.name) for field in dataclasses.fields(vlm)})
    with pytest.raises(UserError, match="the learnt tokens decode to 'Assistant: fire"):
        audited(broken, sample(picture))


def test_a_long_list_is_capped_and_counted(vlm, picture):
    with pytest.raises(UserError, match="and 5 more"):
        audited(vlm, *[sample(picture, Turn("assistant", ("x",), learn=False))] * 15)


def test_segments_are_what_the_vlm_writes(vlm, picture):
    assert Segment("Assistant:") in vlm.chat(sample(picture))


def test_prompts_have_nothing_to_learn_and_that_is_a_fault_where_something_should_be():
    vlm, asked = tiny(), [Sample("a", (Turn("user", ("what?",), learn=False),))]
    assert audit.audited(vlm, asked, "data/train", learns=False)[1] == []
    assert audit.audited(vlm, asked, "data/train")[1] == [
        "data/train[0] (a): no token is learnt; it needs an assistant turn"
    ]
