"""C9: how much of a padded batch is real, over a fixed list of clip lengths: grouped, and cut by a token budget."""

from __future__ import annotations

from itertools import islice

import numpy as np

from bench.measure import Measured
from prospect.conversation.sample import Sample
from prospect.conversation.segments import Encoded
from prospect.training.collate import Item
from prospect.training.schedule import Phase, Sizes


def measure() -> list[Measured]:
    random = np.random.default_rng(0)
    lengths = np.clip(random.lognormal(7.1, 0.6, 2000), 300, 8000).astype(int)  # 1,200 tokens in the middle
    items = [Item(Sample(str(n), ()), Encoded([0] * n, [None] * n)) for n in lengths]
    ways = {
        "grouped": Sizes(8, 1, grouped=True),
        "32k tokens a batch": Sizes(8, 1, tokens=32768),
    }
    before = _real(Phase(items, Sizes(8, 1), seed=0))
    return [
        Measured(f"C9 real tokens, {name}", _real(Phase(items, sizes, seed=0)), 0.97, True, f"random: {before:.2f}", "")
        for name, sizes in ways.items()
    ]


def _real(phase: Phase) -> float:
    """Real / padded tokens over two epochs."""
    batches = [[len(item.encoded) for item in batch] for batch in islice(map(phase.__getitem__, range(500)), 500)]
    return sum(map(sum, batches)) / sum(len(batch) * max(batch) for batch in batches)
