"""Claims: one shift; sums and counts equal a loop over positions; an oracle has loss 0; empty terms are 0."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.conversation.segments import CHANNELS, IGNORE
from prospect.training.losses import (
    Objective,
    Piece,
    decision,
    dst,
    language_modelling,
    learnt_points,
    learnt_rows,
    lm,
    next_tokens,
    targets_of,
    where_predicted,
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
    assert count == (where_predicted(targets, batch) != IGNORE).sum()
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
    pairs = objective(Outputs(logits), batch)
    loss = objective.total(objective.terms(pairs))
    assert loss.item() == pytest.approx((pairs["answer"][0] / 2).item(), rel=1e-6)
    loss.backward()
    assert torch.isfinite(logits.grad).all()


def test_every_term_has_its_weight_and_every_piece_its_own_count():
    def nothing(*_):
        raise AssertionError

    terms = {"speak": "speak", "dst/yes": "dst", "dst/no": "dst"}
    shares = {"speak": 1.0, "dst/yes": 0.5, "dst/no": 0.5}
    pieces = {name: Piece(term, shares[name], nothing, nothing) for name, term in terms.items()}
    objective = Objective({"speak": 1.0, "dst": 0.25}, pieces)
    sums = {"speak": (6.0, 12), "dst/yes": (8.0, 4), "dst/no": (3.0, 30)}  # counts of the whole optimizer step
    values = objective.terms({name: (torch.tensor(s), torch.tensor(n)) for name, (s, n) in sums.items()})
    assert values["dst"].item() == pytest.approx((8 / 4 + 3 / 30) / 2)
    assert objective.total(values).item() == pytest.approx(6 / 12 + 0.25 * values["dst"].item())


class Stream:
    """Outputs of a model that watches: logits at the learnt points, decisions at the decision points."""

    def __init__(self, logits, decisions):
        self.logits, self.decisions = logits, decisions


def stream_batch(labels, channels, decisions):
    batch = batch_of(labels, channels)
    batch["learnt_points"] = learnt_points(batch["labels"])
    return batch | {"decision_labels": torch.tensor(decisions, dtype=torch.bool).reshape(-1, 2)}


decisions = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12)


@given(decisions, st.sampled_from(["balanced", "plain", "focal"]))
@settings(max_examples=80, deadline=None)
def test_decisions_equal_a_loop(labels, kind):
    batch = stream_batch([[IGNORE, 1]], [[0, 2]], labels)
    logits = torch.randn(len(labels), 2, generator=torch.Generator().manual_seed(1))
    objective = dst(decisions=kind, focus=2.0)
    terms = objective.terms(objective(Stream(torch.zeros(1, V), logits), batch))
    for column, term in enumerate(("speaking_binary", "dst_binary")):
        by_class: dict[bool, list[float]] = {True: [], False: []}
        for right, row in zip(labels, logits.double().tolist(), strict=True):
            p = 1 / (1 + math.exp(-row[column]))
            p_right = p if right[column] else 1 - p
            by_class[right[column]].append(-math.log(p_right) * ((1 - p_right) ** 2 if kind == "focal" else 1))
        if kind == "balanced":
            expected = sum(sum(losses) / len(losses) for losses in by_class.values() if losses) / 2
        else:
            both = [*by_class[True], *by_class[False]]
            expected = sum(both) / max(1, len(both))
        assert terms[term].item() == pytest.approx(expected, abs=1e-5)


@given(decisions)
@settings(max_examples=30, deadline=None)
def test_a_stream_oracle_has_loss_zero(labels):
    speak, state = CHANNELS.index("speak") + 1, CHANNELS.index("dst") + 1
    batch = stream_batch([[IGNORE, 1, 2, IGNORE, 3, 4]], [[0, speak, speak, 0, state, state]], labels)
    right = where_predicted(next_tokens(batch["labels"]), batch)
    logits = torch.full((4, V), -100.0).scatter(1, right[:, None], 100.0)
    sure = torch.where(batch["decision_labels"], 200.0, -200.0)
    objective = dst()
    terms = objective.terms(objective(Stream(logits, sure), batch))
    assert set(terms) == {"speaking_gen", "dst_gen", "speaking_binary", "dst_binary"}
    assert all(value.item() == 0 for value in terms.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("labels", [[], [(True, True)], [(False, False)], [(True, False)] * 3])
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_empty_classes_and_great_logits_stay_finite(dtype, labels, size):
    batch = stream_batch([[IGNORE, IGNORE, 1]], [[0, 0, 2]], labels)
    logits = torch.randn(1, V, dtype=dtype, requires_grad=True)
    sure = torch.full((len(labels), 2), size, dtype=dtype, requires_grad=True)
    objective = dst(decisions="balanced")
    loss = objective.total(objective.terms(objective(Stream(logits, sure), batch)))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert torch.isfinite(sure.grad).all()


def test_focus_leaves_the_sure_ones_alone():
    logits, right = torch.tensor([4.0, 0.0]), torch.tensor([True, True])
    plain, focal = decision(logits, right), decision(logits, right, 2.0)
    assert (focal / plain)[0] < 1e-3 < (focal / plain)[1]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"dst_gen_weight": -1.0}, "dst_gen_weight=-1.0"),
        (
            dict.fromkeys(
                ("speaking_gen_weight", "dst_gen_weight", "speaking_binary_weight", "dst_binary_weight"), 0.0
            ),
            "every weight is 0",
        ),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        dst(**weights)


def test_the_sum_is_taken_in_full_precision():
    logits = torch.randn(1, 400, 50).bfloat16()
    targets = torch.randint(0, 50, (1, 400))
    exact = torch.nn.functional.cross_entropy(logits[0].double(), targets[0], reduction="sum")
    assert language_modelling(logits, targets)[0].item() == pytest.approx(exact.item(), rel=1e-6)


def test_an_unknown_channel_is_refused():
    with pytest.raises(ValueError, match=r"loss\.weights: unknown channel 'answr'"):
        lm({"answr": 1.0})
