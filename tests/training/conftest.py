from __future__ import annotations

import pytest

from prospect.data.assembly.demo import assembly101_dst_demo


@pytest.fixture(scope="session")
def clips(cache):
    """A few clips of the built-in world, with both warm-up phases."""
    counts = {"train": 12, "val": 5, "test": 2, "captions_count": 16, "dense_count": 8}
    return assembly101_dst_demo(**counts, captions=0.2, dense=0.4, neg_frame_sampling_rate=0.5)
