"""Claims: one shift; sums and counts equal a loop over positions; an oracle has loss 0; empty terms are 0."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.conversation.segments import IGNORE
from prospect.training.losses import (
    CHANNELS,
    hits,
    language_modelling,
    learnt_rows,
    lm,
    next_tokens,
    targets_of,
    weighted,
)

V = 7


def batch_of(labels, channels=None):
    labels = torch.tensor(labels)
    channels = (labels != IGNORE).long() if channels is None else torch.tensor(channels)
    return {"labels": labels, "channels": channels, "logits_to_keep": learnt_rows(labels)}


class Outputs:
    def __init__(self, logits):
        self.logits = logits


rows = st.integers(2, 9).flatmap(
    lambda length: st.lists(
        st.lists(st.sampled_from([IGNORE, 0, 1, 2, 6]), min_size=length, max_size=length), min_size=1, max_size=4
    )
)


@given(rows)
@settings(max_examples=60, deadline=None)
def test_equals_a_loop_over_positions(labels):
    batch = batch_of(labels)
    logits = torch.randn(len(labels), len(labels[0]), V, generator=torch.Generator().manual_seed(0))
    expected = [
        -math.log(torch.softmax(logits[b, t].double(), -1)[labels[b][t + 1]].item())
        for b in range(len(labels))
        for t in range(len(labels[0]) - 1)
        if labels[b][t + 1] != IGNORE
    ]
    sum_, count = lm({"answer": 1.0})(Outputs(logits[:, batch["logits_to_keep"]]), batch)["answer"]
    assert count == len(expected) == lm({"answer": 1.0}).counts(batch)["answer"]
    assert sum_.item() == pytest.approx(sum(expected), abs=1e-4)


@given(rows)
@settings(max_examples=40, deadline=None)
def test_an_oracle_has_loss_zero_and_a_double_shift_has_not(labels):
    batch = batch_of(labels)
    targets = next_tokens(batch["labels"])

    def certain(wanted):
        logits = torch.full((*wanted.shape, V), -100.0)
        return logits.scatter(2, wanted.clamp(min=0)[..., None], 100.0)[:, batch["logits_to_keep"]]

    sum_, count = lm({"answer": 1.0})(Outputs(certain(targets)), batch)["answer"]
    assert sum_.item() == 0
    right, learnt = hits(certain(targets), batch)
    assert right == learnt == count
    twice = next_tokens(targets)
    learnt_differ = ((twice.clamp(min=0) != targets) & (targets != IGNORE)).any()
    if learnt_differ:
        assert lm({"answer": 1.0})(Outputs(certain(twice)), batch)["answer"][0].item() > 100


def test_the_head_is_needed_exactly_where_something_is_predicted():
    labels = torch.tensor([[IGNORE, IGNORE, 3, IGNORE, IGNORE], [IGNORE, 2, IGNORE, IGNORE, 4]])
    assert learnt_rows(labels).tolist() == [0, 1, 3]
    assert next_tokens(labels)[:, -1].tolist() == [IGNORE, IGNORE]


def test_terms_are_kept_apart_by_channel():
    speak, dst = CHANNELS.index("speak") + 1, CHANNELS.index("dst") + 1
    batch = batch_of([[IGNORE, 1, 2, 3]], [[0, speak, dst, dst]])
    assert targets_of(batch, "speak").tolist() == [[IGNORE, 1, IGNORE, IGNORE]]
    counts = lm({"speak": 1.0, "dst": 0.5, "answer": 1.0}).counts(batch)
    assert {name: int(count) for name, count in counts.items()} == {"speak": 1, "dst": 2, "answer": 0}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_empty_term_is_an_exact_zero(dtype):
    batch = batch_of([[IGNORE, 1, 2]])
    logits = torch.randn(1, 2, V, dtype=dtype, requires_grad=True)
    objective = lm({"answer": 1.0, "dst": 5.0})
    terms = objective(Outputs(logits), batch)
    loss = weighted(terms, objective.counts(batch), objective.weights)
    assert loss.item() == pytest.approx((terms["answer"][0] / 2).item(), rel=1e-6)
    loss.backward()
    assert torch.isfinite(logits.grad).all()


def test_every_term_has_its_weight_and_its_own_count():
    terms = {"speak": (torch.tensor(6.0), torch.tensor(3)), "dst": (torch.tensor(8.0), torch.tensor(2))}
    counts = {"speak": torch.tensor(12), "dst": torch.tensor(4)}  # of the whole optimizer step
    assert weighted(terms, counts, {"speak": 1.0, "dst": 0.25}).item() == 6 / 12 + 0.25 * 8 / 4


def test_the_sum_is_taken_in_full_precision():
    logits = torch.randn(1, 400, 50).bfloat16()
    targets = torch.randint(0, 50, (1, 400))
    exact = torch.nn.functional.cross_entropy(logits[0].double(), targets[0], reduction="sum")
    assert language_modelling(logits, targets)[0].item() == pytest.approx(exact.item(), rel=1e-6)


def test_an_unknown_channel_is_refused():
    with pytest.raises(ValueError, match=r"loss\.weights: unknown channel 'answr'"):
        lm({"answr": 1.0})
