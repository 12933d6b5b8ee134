"""Whatever a cache goes through, the next answer is that of a forward over what it should hold."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.streaming.films import seer
from transformers import LlamaConfig, LlamaModel

from prospect.models.patches import PatchSettings
from prospect.models.tiny_qwen3_vl import tiny_qwen3_vl
from prospect.streaming.cache import StreamCache

WIDTH, HEAD_ROWS = 48, 300
many = settings(max_examples=25, deadline=None)


def decoder(layers=2, groups=1, theta=10_000.0):
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=WIDTH,
        intermediate_size=96,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4 // groups,
        vocab_size=HEAD_ROWS,
        initializer_range=0.3,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
        attn_implementation="sdpa",
    )
    return LlamaModel(config).eval()


ONE, TWO, GROUPED = decoder(1), decoder(2), decoder(2, groups=2)
WORDS = torch.randn(HEAD_ROWS, WIDTH, generator=torch.Generator().manual_seed(1))


def tokens(count, seed=0):
    return torch.randint(0, HEAD_ROWS, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


@torch.no_grad()
def fed(model, cache, rows):
    """The last states of what is added to each row."""
    counts, all_rows = [len(row) for row in rows], range(len(rows))
    ids = torch.zeros(len(rows), max(counts), dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
    positions = cache.begin(all_rows, counts, ids.device)
    seen = (torch.arange(cache.filled) <= positions[..., None])[:, None]
    states = model(
        ids, position_ids=positions, past_key_values=cache, attention_mask=seen if len(rows) > 1 else None
    ).last_hidden_state
    cache.done()
    return [states[number, : len(row)] for number, row in enumerate(rows)]


@torch.no_grad()
def fresh(model, row):
    return model(torch.tensor([row]), use_cache=False).last_hidden_state[0]


def variation(ours, right):
    """Total variation of the next token's distribution."""
    p, q = ((state @ WORDS.T / WIDTH**0.5).double().softmax(-1) for state in (ours, right))
    return float((p - q).abs().sum() / 2)


@pytest.mark.parametrize("model", [TWO, GROUPED], ids=["heads", "grouped"])
@given(chunks=st.lists(st.integers(1, 9), min_size=1, max_size=8))
@many
def test_in_pieces_as_at_once(model, chunks):
    row, cache, states = tokens(sum(chunks)), StreamCache(model, 1, 80), []
    for chunk in chunks:
        at = cache.lengths[0]
        states += fed(model, cache, [row[at : at + chunk]])
    assert cache.lengths == [len(row)]
    torch.testing.assert_close(torch.cat(states), fresh(model, row), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model", [TWO, GROUPED], ids=["heads", "grouped"])
@given(calls=st.lists(st.tuples(*[st.integers(0, 6)] * 3).filter(any), min_size=1, max_size=8))
@many
def test_rows_do_not_see_each_other(model, calls):
    cache = StreamCache(model, 3, 60)
    rows = [tokens(60, seed) for seed in range(3)]
    for counts in calls:
        states = fed(model, cache, [row[at : at + n] for row, at, n in zip(rows, cache.lengths, counts, strict=True)])
    for row, length, count, state in zip(rows, cache.lengths, counts, states, strict=True):
        if count:
            right = fresh(model, row[:length])[-count:]
            torch.testing.assert_close(state, right, atol=1e-5, rtol=1e-5)


@given(data=st.data())
@many
def test_rolled_back_and_dropped_of_one_layer_as_fresh(data):
    """Of several rows, each in its own way; of one layer, where what is kept has seen nothing of what was dropped."""
    cache, rows = StreamCache(ONE, 2, 200), [[], []]
    for _ in range(data.draw(st.integers(1, 6))):
        added = [tokens(data.draw(st.integers(1, 15)), data.draw(st.integers(0, 99))) for _ in rows]
        rows = [row + more for row, more in zip(rows, added, strict=True)]
        fed(ONE, cache, added)
        for number, row in enumerate(rows):
            if data.draw(st.booleans()):
                length = data.draw(st.integers(1, len(row)))
                cache.cut(number, length)
                del row[length:]
            if len(row) > 2 and data.draw(st.booleans()):
                start = data.draw(st.integers(0, len(row) - 2))
                stop = data.draw(st.integers(start + 1, len(row) - 1))
                cache.drop(number, start, stop)
                del row[start:stop]
    assert cache.lengths == [len(row) for row in rows]
    states = fed(ONE, cache, [[7], [8]])
    for row, state, token in zip(rows, states, (7, 8), strict=True):
        assert variation(state[-1], fresh(ONE, [*row, token])[-1]) <= 1e-5


@torch.no_grad()
def test_dropped_frames_take_their_places_along():
    """Frames of 1 + 2 × 2 tokens take three places of three coordinates: what moves up is turned by places."""
    vlm = seer(layers=1, grid=(1, 2), make=tiny_qwen3_vl, image=PatchSettings(frame=64))
    model, image = vlm.model.model.language_model, vlm.image_token_id
    rows = [[9, 8, *[image] * 5, 7, *[image] * 10, 6, 5, *[image] * 5, 4], [3, *[image] * 5, 2, 9, *[image] * 5, 8, 7]]
    cache = StreamCache(model, 2, 60)

    def called(numbers, added):
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in added], batch_first=True)
        places = cache.begin(numbers, [len(row) for row in added], ids.device)
        frames = int((ids == image).sum()) // 5
        positions = cache.placed(*vlm.model.walked(ids, torch.ones_like(ids), frames))
        seen = (torch.arange(cache.filled) <= places[..., None])[:, None]
        states = model(ids, position_ids=positions, past_key_values=cache, attention_mask=seen).last_hidden_state
        cache.done()
        return states, positions

    called([0, 1], rows)
    for number, start, stop in ((0, 2, 8), (1, 1, 6), (0, 7, 12)):
        cache.drop(number, start, stop)
        del rows[number][start:stop]
    for number, row in enumerate(rows):
        state, positions = called([number], [[5]])
        ids = torch.tensor([[*row, 5]])
        whole, _ = vlm.model.walked(ids, torch.ones_like(ids), int((ids == image).sum()) // 5)
        assert positions[:, 0, 0].tolist() == whole[:, 0, -1].tolist()
        right = model(ids, position_ids=whole, use_cache=False).last_hidden_state[0, -1]
        torch.testing.assert_close(state[0, -1], right, atol=1e-4, rtol=1e-4)


def test_positions_are_right_far_out():
    """Angles of thousands of radians, thrice dropped: keys end where a fresh forward has them."""
    cache, row = StreamCache(ONE, 1, 6000), tokens(6000)
    fed(ONE, cache, [row])
    for start, stop in ((5, 900), (700, 2200), (12, 14)):
        cache.drop(0, start, stop)
        del row[start:stop]
    assert variation(fed(ONE, cache, [[3]])[0][-1], fresh(ONE, [*row, 3])[-1]) <= 1e-5


def test_left_as_they_were_keys_would_be_wrong():
    cache, row = StreamCache(ONE, 1, 100), tokens(90)
    fed(ONE, cache, [row])
    keys, values = cache.layers[0].memory
    keys[:, :, 10:40], values[:, :, 10:40] = keys[:, :, 60:90].clone(), values[:, :, 60:90].clone()
    cache.cut(0, 40)
    del row[10:60]
    assert variation(fed(ONE, cache, [[3]])[0][-1], fresh(ONE, [*row, 3])[-1]) > 0.01
