"""The one place where a stream meets the model: what several streams ask is answered in one call.

Shapes: B rows (streams), Q positions of a call, T positions so far, N frames, I tokens a frame, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from prospect.errors import UserError
from prospect.models.decisions import StreamModel
from prospect.models.vlm import VLM
from prospect.streaming.cache import StreamCache

LONG = 32  # tokens; an ask of more is a call of its own, or all others would be padded to it

Frame = Image.Image | np.ndarray | Tensor  # a picture, or what the model's own tower made of it: (I, D)


class Sight:
    """A frame with its features, once somebody has made them."""

    def __init__(self, frame: Frame):
        self.picture = frame if isinstance(frame, Image.Image) else None
        self.features_ID = None if isinstance(frame, Image.Image) else torch.as_tensor(frame)


@dataclass(frozen=True)
class Ask:
    """Tokens that go behind the first `at` of a stream, and what is wanted of the model there.

    `drops`: spans of tokens to part with before that, one after the other.
    """

    at: int
    ids: Sequence[int]
    sights: Sequence[Sight] = ()
    decided: Sequence[int] = ()  # places in ids at which decisions are read
    next_token: bool = False
    drops: Sequence[tuple[int, int]] = ()


class Decided(NamedTuple):
    speak: float
    dst: float


@dataclass(frozen=True)
class Answer:
    """Probabilities at each place that was asked for, and the logits (V) of the next token, if they were."""

    decisions: list[Decided] = field(default_factory=list)
    logits_V: Tensor | None = None


class Feeder:
    """Rows of one cache, each a stream. A row that asks for nothing is left as it is."""

    def __init__(self, vlm: VLM, rows: int, length: int):
        if not isinstance(vlm.bare, StreamModel) or vlm.bare.config.heads == "none":
            raise UserError("to watch a stream the model needs heads: train it with model.stream.heads=binary or token")
        if rows > 1 and vlm.bare.config._attn_implementation == "flash_attention_2":
            raise UserError("flash_attention_2 knows no streams of different lengths: use model.attention=sdpa")
        self.vlm, self.rows = vlm, rows
        self.model: Any = vlm.bare
        self.cache = StreamCache(vlm.bare.get_decoder(), rows, length)

    @torch.inference_mode()
    def __call__(self, asks: Mapping[int, Ask]) -> dict[int, Answer]:
        for row, ask in asks.items():
            self.cache.cut(row, sum(stop - start for start, stop in ask.drops) + ask.at)
            for start, stop in ask.drops:
                self.cache.drop(row, start, stop)
        self._see(sight for ask in asks.values() for sight in ask.sights)
        alone = [row for row, ask in asks.items() if len(ask.ids) > LONG or len(asks) == 1]
        answers = {row: self._called([row], asks)[row] for row in alone}
        if len(alone) < len(asks):
            together = {row: ask for row, ask in asks.items() if row not in answers}
            answers |= self._called(range(self.rows), together)
        return answers

    def _called(self, rows: Sequence[int], asks: Mapping[int, Ask]) -> dict[int, Answer]:
        """The model's answers to those of the rows that ask."""
        asked = [(place, asks[row]) for place, row in enumerate(rows) if row in asks]
        outputs = self.vlm.model(**self._inputs(rows, asked))
        self.cache.done()
        probabilities = iter(torch.sigmoid(outputs.decisions.double()).tolist())
        logits = iter(outputs.logits)
        return {
            rows[place]: Answer(
                [Decided(*next(probabilities)) for _ in ask.decided], next(logits) if ask.next_token else None
            )
            for place, ask in asked
        }

    def free(self, row: int) -> None:
        """The row is another stream's from now on."""
        self.cache.cut(row, 0)

    def _see(self, sights: Iterable[Sight]) -> None:
        new = [(sight, sight.picture) for sight in sights if sight.features_ID is None and sight.picture is not None]
        if new:
            pixels_NCHW = self.vlm.frame_layout.pixels((picture for _, picture in new), len(new))
            features_NID = self.model.frame_features(pixels_NCHW.to(self.vlm.device))
            for (sight, _), features_ID in zip(new, features_NID, strict=True):
                sight.features_ID, sight.picture = features_ID, None

    def _inputs(self, rows: Sequence[int], asked: Sequence[tuple[int, Ask]]) -> dict[str, Any]:
        device, counts = self.vlm.device, [0] * len(rows)
        for place, ask in asked:
            counts[place] = len(ask.ids)
        ids_BQ = torch.full((len(rows), max(counts)), self.vlm.tokenizer.pad_token_id)
        for place, ask in asked:
            ids_BQ[place, : counts[place]] = torch.tensor(ask.ids)
        places_BQ = self.cache.begin(rows, counts, device)
        decided = [(place, column) for place, ask in asked for column in ask.decided]
        last = [(place, counts[place] - 1) for place, ask in asked if ask.next_token]
        features = [_features(sight).to(device) for _, ask in asked for sight in ask.sights]
        return {
            "input_ids": ids_BQ.to(device),
            "position_ids": self._positions(ids_BQ, places_BQ, len(features)),
            "attention_mask": None if len(rows) == 1 else self._mask(places_BQ),
            "past_key_values": self.cache,
            "use_cache": True,
            "learnt_points": torch.tensor(last).long().reshape(-1, 2),
            "decision_points": torch.tensor(decided).long().reshape(-1, 2),
            **({"frame_features": torch.stack(features)} if features else {}),
        }

    def _positions(self, ids_BQ: Tensor, places_BQ: Tensor, frames: int) -> Tensor:
        walked = self.model.walked(ids_BQ, torch.ones_like(ids_BQ), frames)
        return places_BQ if walked is None else self.cache.placed(*walked).to(places_BQ.device)

    def _mask(self, places_BQ: Tensor) -> Tensor:
        """Every token sees its own row up to itself; behind it lies what was never written or is no more."""
        seen_B1QT = (torch.arange(self.cache.filled, device=places_BQ.device) <= places_BQ[..., None])[:, None]
        if self.vlm.bare.config._attn_implementation == "sdpa":
            return seen_B1QT
        dtype = self.vlm.bare.dtype
        return torch.zeros(seen_B1QT.shape, dtype=dtype, device=seen_B1QT.device).masked_fill(
            ~seen_B1QT, torch.finfo(dtype).min
        )


def _features(sight: Sight) -> Tensor:
    assert sight.features_ID is not None
    return sight.features_ID
