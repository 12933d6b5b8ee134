"""Claim: labels, inputs and loss of a sample are the same alone, in any batch, in any order, padded left or right."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import IGNORE, Encoded, encode
from prospect.training.collate import TARGETS, Collator, Item, collator, company, pad
from prospect.training.losses import lm


def item(vlm, name: str, question: str, answer: str, *pictures) -> Item:
    parts = (*(Picture(p) for p in pictures), question)
    sample = Sample(name, (Turn("user", parts), Turn("assistant", (answer,))))
    return Item(sample, encode(vlm.chat(sample), vlm.tokenizer, name))


@pytest.fixture
def items(vlm, picture):
    dark = picture.point(lambda value: value // 3)
    return [
        item(vlm, "short", "what is it?", "fire", picture),
        item(vlm, "long", "what is it, and what comes next? Say 水.", "water and then a 🔥 wood", dark),
        item(vlm, "two", "which is it?", "land", picture, dark),
        item(vlm, "text", "no picture here", "metal"),
    ]


def losses(vlm, items, side) -> dict[str, float]:
    """Mean loss of each sample, computed within one batch."""
    batch = collator(vlm, side)(items)
    with torch.no_grad():
        outputs = vlm.model(**{k: v for k, v in batch.items() if k not in TARGETS})
    result = {}
    for row, one in enumerate(items):
        alone = {**batch, "labels": torch.full_like(batch["labels"], IGNORE)}
        alone["labels"][row] = batch["labels"][row]
        sum_, count = lm({"answer": 1.0})(outputs, alone)["answer"]
        result[one.sample.id] = (sum_ / count).item()
    return result


def test_loss_does_not_depend_on_neighbours_or_padding(vlm, items):
    vlm.model.double()  # so that rounding hides nothing; the loss itself is fp32
    alone = {}
    for one in items:
        alone |= losses(vlm, [one], "left")
    assert len(set(alone.values())) == len(items)
    for side in ("left", "right"):
        for order in (items, items[::-1], [items[2], items[0], items[3], items[1]]):
            together = losses(vlm, order, side)
            assert together == pytest.approx(alone, abs=1e-6, rel=0)


encoded_rows = st.lists(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from([None, "answer", "speak", "dst"])), min_size=1, max_size=12),
    min_size=1,
    max_size=5,
)


@given(encoded_rows, st.sampled_from(["left", "right"]), st.integers(0, 9))
@settings(max_examples=80, deadline=None)
def test_padding_keeps_every_row_whole(rows, side, pad_id):
    """Also when the pad id is an ordinary, learnt token: attention comes from lengths."""
    encoded = [Encoded([token for token, _ in row], [channel for _, channel in row]) for row in rows]
    batch = pad(encoded, pad_id, side)
    for index, row in enumerate(encoded):
        kept = batch["attention_mask"][index].bool()
        assert batch["input_ids"][index][kept].tolist() == row.ids
        assert batch["labels"][index][kept].tolist() == row.labels()
        assert batch["position_ids"][index][kept].tolist() == list(range(len(row)))
        assert (batch["labels"][index][~kept] == IGNORE).all()
        assert (batch["channels"][index][~kept] == 0).all()


def test_pixels_are_those_of_the_items_in_order(vlm, items):
    batch = collator(vlm)(items)
    assert batch["pixel_values"].shape[:2] == (1, 4)
    alone = [collator(vlm)([one])["pixel_values"] for one in items[:3]]
    assert torch.equal(batch["pixel_values"], torch.cat(alone, dim=1))
    assert "pixel_values" not in collator(vlm)([items[3]])
    assert batch["sample_ids"] == ["short", "long", "two", "text"]


def test_a_collator_travels_to_workers(vlm, items):
    import pickle

    again = pickle.loads(pickle.dumps(collator(vlm)))
    assert isinstance(again, Collator)
    assert torch.equal(again(items)["labels"], collator(vlm)(items)["labels"])


def test_words_alone_have_company_where_others_have_pictures(vlm, picture):
    """The blank row lets the tower run and changes nothing: no label, no loss, a gradient of zero."""
    items = [item(vlm, "a", "what?", "fire", picture), item(vlm, "b", "what?", "water")]
    blank = company(vlm, items)
    assert blank is not None
    assert company(vlm, items[:1]) is company(vlm, items[1:]) is None
    alone, beside = (collator(vlm, blank=row)([items[1]]) for row in (None, blank))
    assert beside["sample_ids"] == ["b"]
    assert (beside["labels"] != IGNORE).sum() == (alone["labels"] != IGNORE).sum()
    assert "pixel_values" in beside
    assert "pixel_values" not in alone
    together = collator(vlm, blank=blank)(items)
    assert len(together["input_ids"]) == 2
    losses = []
    for batch in (alone, beside):
        vlm.model.zero_grad()
        outputs = vlm.model(**{key: value for key, value in batch.items() if key not in TARGETS}, use_cache=False)
        sum_, count = lm({"answer": 1.0})(outputs, batch)["answer"]
        (sum_ / count).backward()
        losses.append(sum_.item() / count.item())
        tower = [p.grad for name, p in vlm.model.named_parameters() if ".vision_model." in name]
        assert all(grad is None or not grad.any() for grad in tower)
        assert any(grad is not None for grad in tower) == (batch is beside)
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
