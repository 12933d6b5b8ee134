"""C7: a clip's features as a tensor, against the same slice of a `datasets` folder in its NumPy format.

300 frames of 1 token of 1,152 halves, 2.3 kB a frame, cut into spans as the turns of a conversation do.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import datasets
import numpy as np
import torch

from bench.footage import CLIP
from bench.measure import Measured, side_by_side
from prospect.conversation.sample import Frames
from prospect.data.frames import FeatureStore, write_features
from prospect.models.frames import FrameLayout
from prospect.models.images import ImageLayout

FRAMES, START, TOKENS, WIDTH = 2000, 900, 1, 1152
SPAN = 5  # frames between two turns


def measure() -> list[Measured]:
    torch.set_num_threads(1)
    made = np.random.default_rng(0).standard_normal((FRAMES, TOKENS, WIDTH)).astype(np.float16)
    columns = datasets.Features({"feature": datasets.Array2D((TOKENS, WIDTH), "float16")})
    layout = FrameLayout(ImageLayout(384, 81, 384, split=False))
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.arrow"
        write_features(path, iter(made), {"fps": 2})
        datasets.Dataset.from_dict({"feature": list(made)}, features=columns).save_to_disk(f"{folder}/peer")
        peer = datasets.load_from_disk(f"{folder}/peer").with_format("numpy")

        whole = Frames(START, START + CLIP, features=FeatureStore(path))
        spans = [whole.part(first, min(first + SPAN, whole.stop)) for first in range(whole.start, whole.stop, SPAN)]

        def ours() -> torch.Tensor:
            return layout.inputs(spans)["frame_features"]

        def theirs() -> torch.Tensor:
            return torch.from_numpy(peer[START : START + CLIP]["feature"])

        assert torch.equal(ours(), theirs())
        assert torch.equal(ours(), torch.from_numpy(made[START : START + CLIP]))
        mine, sliced = side_by_side(ours, theirs, rounds=200)
    detail = f"{mine * 1e3:.3f} ms against {sliced * 1e3:.2f} ms for {CLIP} frames"
    return [Measured("C7 features of a clip", sliced / mine, 15.0, True, detail)]
