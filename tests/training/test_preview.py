"""The view shows every token once, with the channel that training uses, and says what is wrong with a split."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import encode
from prospect.data.dataset import Dataset
from prospect.data.findings import Finding
from prospect.errors import UserError
from prospect.training.preview import pieces, view

HOSTILE = "</script><script>alert(1)</script> 水 👩‍🚒 <image>"


@pytest.fixture
def data(picture):
    turns = (Turn("user", (Picture(picture), HOSTILE)), Turn("assistant", (f"fire {HOSTILE}",)))
    samples = [Sample(f"img-{i}", turns, {"label": "fire"}) for i in range(3)]
    return Dataset("zoo", "classification", {"train": samples, "val": [], "test": []}, ("fire", "wood"))


def test_pieces_hold_every_token_once_and_read_as_the_text(vlm, data):
    sample = data.splits["train"][0]
    encoded = encode(vlm.chat(sample), vlm.tokenizer)
    found = list(pieces(encoded, vlm))
    assert [token for piece in found for token in piece["ids"]] == encoded.ids
    learnt = [piece for piece in found if piece["channel"] == "answer"]
    assert "".join(piece["text"] for piece in learnt) == f" fire {HOSTILE}<end_of_utterance>"
    assert not any("\ufffd" in piece["text"] for piece in found)


def test_the_view_counts_and_audits(vlm, data):
    seen = view(vlm, data, "train", -1)
    assert (seen["index"], seen["id"]) == (2, "img-2")
    (part,) = seen["parts"]
    assert part["stream"] is None
    assert part["counts"]["image tokens"] == 1
    assert seen["audit"]["samples"] == 3
    assert seen["audit"]["classes"] == {"fire": 3, "wood": 0}
    assert seen["audit"]["faults"] == []
    assert part["turns"][0]["parts"][0]["image"].startswith("data:image/png;base64,")


def test_a_pair_is_shown_with_either_answer(vlm, data):
    pairs = [replace(sample, meta={"rejected": "wood"}) for sample in data.splits["train"]]
    seen = view(vlm, replace(data, task="preferences", splits={"train": pairs, "val": [], "test": []}), "train", 0)
    assert [part["answer"] for part in seen["parts"]] == ["preferred", "rejected"]
    learnt = [
        "".join(piece["text"] for piece in part["tokens"] if piece["channel"] == "answer") for part in seen["parts"]
    ]
    assert learnt == [f" fire {HOSTILE}<end_of_utterance>", " wood<end_of_utterance>"]


def test_faults_are_shown_instead_of_raised(vlm, data):
    seen = view(vlm, data, "train", 0, max_length=10)
    assert len(seen["audit"]["faults"]) == 3
    assert "over the limit of 10" in seen["audit"]["faults"][0]


def test_an_index_that_is_not_there_is_named(vlm, data):
    with pytest.raises(UserError, match="index=7: zoo/train has 3 samples"):
        view(vlm, data, "train", 7)


def test_only_findings_of_the_split_are_shown(vlm, data):
    findings = [Finding("odd", "warning", split, "", f"in {split or 'the file'}") for split in ("train", "val", "")]
    seen = view(vlm, replace(data, findings=findings), "train", 0)
    (shown,) = seen["audit"]["findings"]
    assert (shown["count"], shown["example"]) == (2, "in train")
