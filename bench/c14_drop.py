"""C14: the next token behind a dropped span, against a fresh forward over what is kept, in a model of one layer."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.measure import Measured
from bench.watching import watcher
from prospect.models.vlm import VLM
from prospect.streaming.cache import StreamCache

LENGTH, DROPS, NEXT = 4000, ((20, 900), (400, 1700), (3, 5)), 7


@torch.inference_mode()
def measure() -> list[Measured]:
    torch.set_num_threads(1)
    vlm = watcher(8192, layers=1)
    text = vlm.bare.get_decoder()
    ids = torch.randint(10, 600, (LENGTH,), generator=torch.Generator().manual_seed(0)).tolist()
    cache = StreamCache(text, 1, LENGTH)
    _fed(vlm, cache, ids)
    for start, stop in DROPS:
        cache.drop(0, start, stop)
        del ids[start:stop]
    right = _next(vlm, text(torch.tensor([[*ids, NEXT]]), use_cache=False).last_hidden_state)
    turned = _variation(_next(vlm, _fed(vlm, cache, [NEXT])), right)
    return [Measured("C14 total variation after drops", turned, 1e-5, False, f"{turned:.1e}, of three drops", "")]


def _fed(vlm: VLM, cache: StreamCache, ids: list[int]) -> Tensor:
    positions = cache.begin([0], [len(ids)], vlm.device)
    states = vlm.bare.get_decoder()(torch.tensor([ids]), position_ids=positions, past_key_values=cache)
    cache.done()
    return states.last_hidden_state


def _next(vlm: VLM, states_1TD: Tensor) -> Tensor:
    return vlm.model.lm_head(states_1TD[0, -1]).double().softmax(-1)


def _variation(ours_V: Tensor, right_V: Tensor) -> float:
    return float((ours_V - right_V).abs().sum() / 2)
