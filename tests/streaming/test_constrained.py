"""A legal update, whatever the model prefers; its candidates are spelled as training spells them."""

from __future__ import annotations

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.streaming.films import film, seer

from prospect.conversation.dst import applied, legal, read, said, state_of
from prospect.conversation.nanovlm import NANOVLM
from prospect.conversation.pieces import Pieces
from prospect.conversation.qwen3_vl import QWEN3_VL
from prospect.conversation.smolvlm import SMOLVLM
from prospect.streaming.constrained import LegalUpdate
from prospect.streaming.recorded import recorded
from prospect.streaming.stream import WatchSettings
from prospect.streaming.watcher import watch_all
from prospect.streaming.writing import Greedy, Legal

IDS = st.lists(
    st.text("ABCSabz019_.", min_size=1, max_size=5) | st.sampled_from(["S1", "S10", "S1.", "1", "12"]),
    min_size=1,
    max_size=5,
    unique=True,
)


FORMATS = {
    "small_tokenizer": SMOLVLM,
    "true_tokenizer": SMOLVLM,
    "small_qwen_tokenizer": QWEN3_VL,
    "true_qwen_tokenizer": QWEN3_VL,
    "small_nanovlm_tokenizer": NANOVLM,
    "true_nanovlm_tokenizer": NANOVLM,
}


@pytest.fixture(scope="module", params=FORMATS)
def pieces(request):
    return Pieces(FORMATS[request.param], request.getfixturevalue(request.param))


@given(steps=IDS, seed=st.integers(0, 999), limit=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_any_walk_is_a_legal_update_as_training_spells_it(pieces, steps, seed, limit):
    random = Random(seed)
    state = state_of(steps, {step: random.choice(["not_started", "in_progress"]) for step in steps})
    update, ids = LegalUpdate(pieces.spelled, pieces.end, state, pieces.lead), []
    while (token := random.choice(sorted(update.allowed(limit - len(ids))))) != pieces.end:
        update.write(token)
        ids.append(token)
    transitions = read(pieces.read(ids))
    assert transitions == update.whole
    assert applied(state, transitions) == update.state
    assert ids == pieces.text(said(transitions))
    first = max(len(pieces.text(said([transition]))) for transition in legal(state))
    assert len(ids) <= max(limit, first)


def test_every_legal_update_can_be_written(pieces):
    state = state_of(["S1", "S2"], {"S1": "in_progress"})
    for text in ("S1->complete", "S2->start, S2->complete, S1->complete", "S1->complete, S2->start"):
        update = LegalUpdate(pieces.spelled, pieces.end, state, pieces.lead)
        for token in pieces.text(text):
            assert token in update.allowed(99)
            update.write(token)
        assert pieces.end in update.allowed(99)


def test_a_finished_task_leaves_only_the_end(pieces):
    update = LegalUpdate(pieces.spelled, pieces.end, state_of(["S1"], {"S1": "in_progress"}), pieces.lead)
    assert pieces.end not in update.allowed(99)
    for token in pieces.text("S1->complete"):
        update.write(token)
    assert update.allowed(99) == {pieces.end}


def test_the_likeliest_legal_token_is_taken(pieces):
    update = LegalUpdate(pieces.spelled, pieces.end, state_of(["S1", "S2"], {"S1": "in_progress"}), pieces.lead)
    choose, logits = Legal(update), torch.zeros(len(pieces.tokenizer))
    logits[pieces.end] = 9  # not yet
    logits[list(pieces.text("S2->start"))] = 1
    assert [choose(logits, 99) for _ in pieces.text("S2->start")] == pieces.text("S2->start")
    assert choose(logits, 99) == pieces.end


def test_greedy_writes_no_control(pieces):
    choose, logits = Greedy(pieces.tokenizer, pieces.end), torch.zeros(len(pieces.tokenizer) + 8)
    logits[pieces.tokenizer.convert_tokens_to_ids(pieces.format.image)] = 9
    logits[len(pieces.tokenizer) + 3] = 8  # of a padded vocabulary
    plain = next(token for token in range(300) if token not in pieces.tokenizer.added_tokens_decoder)
    logits[plain] = 1
    assert choose(logits, 9) == plain
    logits[pieces.end] = 7
    assert choose(logits, 9) == pieces.end


def test_random_weights_write_a_thousand_legal_updates():
    vlm = seer(layers=1)
    films = [recorded(film(vlm, frames=20, seed=seed, steps=10)) for seed in range(50)]
    always = WatchSettings(speak_threshold=1, dst_threshold=0, dst_tokens=1)
    moments = [moment for _, moment in watch_all(vlm, films, always, rows=25)]
    updates = [moment.update for moment in moments if moment.update is not None]
    assert len(updates) == 1000
    assert all(updates)
    assert not any(moment.counts for moment in moments)
    assert all(set(moment.state.values()) == {"completed"} for moment in moments if moment.frame == 22)


def test_without_it_what_cannot_be_read_or_be_so_is_counted():
    vlm = seer(layers=1)
    free = WatchSettings(speak_threshold=1, dst_threshold=0, dst_tokens=8, constrained=False)
    films = [recorded(film(vlm, frames=10, seed=seed)) for seed in range(4)]
    moments = [moment for _, moment in watch_all(vlm, films, free, rows=4)]
    assert all(moment.counts.get("unparsable") == 1 for moment in moments)
    assert all(moment.update == () and moment.written is not None for moment in moments)
    assert all(set(moment.state.values()) == {"not_started"} for moment in moments)
