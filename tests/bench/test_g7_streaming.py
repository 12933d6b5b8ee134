"""What is measured on a GPU runs here too, small; and where there is none, it is said to be not measured."""

from __future__ import annotations

import pytest
import torch

from bench import __main__ as bench
from bench import g7_streaming
from prospect.models.stream import for_streams
from prospect.models.tiny import tiny


def test_the_claims_at_a_small_size():
    vlm = for_streams(tiny(seed=0, device="cpu", width=48, layers=1))
    sizes = g7_streaming.Sizes(context=64, short=16, long=256, streams=3, held=32, frames=5)
    found = g7_streaming.claims(vlm, sizes)
    assert [one.claim[:2] for one in found] == ["G7", "G7", "G8", "G9"]
    assert all(one.ratio > 0 for one in found)
    assert found[0].ratio <= found[1].ratio
    assert not any(one.at_least for one in found)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_said(capsys):
    assert g7_streaming.measure() == []
    assert bench.main(["g7"]) == 0
    assert "not measured" in capsys.readouterr().out
