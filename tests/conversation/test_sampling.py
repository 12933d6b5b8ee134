"""Invariants of negative-frame sampling:
1. of the silent frames exactly round(rate x number, halves up) are labelled, of the eventful ones all;
2. the draw is the same for the same key and another for another epoch;
3. only labels change: ids, channels and the decisions themselves stay.
"""

from __future__ import annotations

from copy import deepcopy
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.conversation.sampling import labelled
from prospect.conversation.segments import Decision, Encoded, encode
from prospect.conversation.smolvlm import SMOLVLM

RATES = ["0", "0.05", "0.35", "0.5", "0.95", "1"]


def clip(silent: int, eventful: int) -> Encoded:
    """Frames of 3 tokens, an event at every few, far more silent ones than eventful ones."""
    total = silent + eventful
    loud = set(range(0, total, max(1, total // eventful))[:eventful]) if eventful else set()
    decisions = {3 * number + 2: Decision(speak=number in loud) for number in range(total)}
    return Encoded([7] * 3 * total, [None] * 3 * total, decisions)


@given(silent=st.integers(0, 400), eventful=st.integers(0, 9), rate=st.sampled_from(RATES), key=st.text(max_size=9))
@settings(max_examples=200, deadline=None)
def test_the_share_is_exact_and_no_event_is_lost(silent, eventful, rate, key):
    encoded = clip(silent, eventful)
    kept = labelled(encoded, float(rate), key)
    assert sum(decision.silent for decision in kept.values()) == floor(Fraction(rate) * silent + Fraction(1, 2))
    assert sum(decision.speak for decision in kept.values()) == eventful
    assert kept.items() <= encoded.decisions.items()


@pytest.mark.parametrize(
    ("rate", "silent", "right"),
    [(0.05, 9, 0), (0.05, 10, 1), (0.05, 30, 2), (0.5, 1, 1), (0.5, 3, 2), (0.35, 90, 32), (0.35, 88, 31)],
)
def test_halves_are_rounded_up_in_decimals(rate, silent, right):
    assert len(labelled(clip(silent, 0), rate, "key")) == right  # 0.35 x 90 is 31.499999999999996 in binary


@given(data=st.data(), rate=st.sampled_from([0.0, 0.05, 0.5, 1.0]))
@settings(max_examples=40, deadline=None)
def test_only_labels_change(small_tokenizer, streams, data, rate):
    sample = data.draw(streams())
    encoded = encode(SMOLVLM.chat(sample, lambda picture: [], 5), small_tokenizer)
    before = deepcopy(encoded)
    kept = labelled(encoded, rate, "seed/epoch/clip")
    assert encoded == before
    assert kept.items() <= before.decisions.items()
    assert list(kept) == [position for position in before.decisions if position in kept]
    assert {p for p, decision in before.decisions.items() if not decision.silent} <= set(kept)


def test_the_draw_depends_on_the_key_alone():
    encoded = clip(200, 5)
    first = labelled(encoded, 0.5, "0/0/clip")
    assert labelled(deepcopy(encoded), 0.5, "0/0/clip") == first
    others = [labelled(encoded, 0.5, f"0/{epoch}/clip") for epoch in range(1, 20)]
    assert all(other != first for other in others)
    # Every frame has its turn: over 20 epochs none of 200 is missed by a draw of halves.
    assert set(first).union(*others) == set(encoded.decisions)


def test_draws_are_spread_evenly():
    encoded = clip(100, 0)
    counts = dict.fromkeys(encoded.decisions, 0)
    for epoch in range(1000):
        for position in labelled(encoded, 0.1, str(epoch)):
            counts[position] += 1
    assert sum(counts.values()) == 10 * 1000
    assert min(counts.values()) > 50
    assert max(counts.values()) < 160  # 100 +- 9.5 each: six of those off is never by chance


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_is_a_share(rate):
    with pytest.raises(AssertionError, match="a share"):
        labelled(clip(3, 1), rate, "key")
