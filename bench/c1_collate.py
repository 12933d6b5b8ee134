"""C1, C2, C3: tokens and labels of a clip, against finding learnt ranges by their character offsets afterwards.

The peer is what the literature does: tokenise the whole text with offsets, then scan all of them for the first and the
last token of every range that is learnt: a turn's text, or a frame with its decision. Both find the same labels and
the same decision points. One frame is one token, as in the longest clips that are trained on.
"""

from __future__ import annotations

import gc
import math
from typing import Any

from bench.measure import Measured, side_by_side
from bench.streams import stream
from prospect.conversation.sample import Sample
from prospect.conversation.segments import IGNORE, encode
from prospect.conversation.smolvlm import SMOLVLM
from prospect.models.frames import FrameLayout
from prospect.models.images import ImageLayout
from prospect.models.words import stand_in_tokenizer
from prospect.training.collate import Collator, Item

LAYOUT = ImageLayout(384, 81, 384, split=False)


def measure() -> list[Measured]:
    gc.freeze()  # as training does at its start, or a collection now and then walks over all that was ever imported
    tokenizer: Any = stand_in_tokenizer()
    collate = Labels(LAYOUT, FrameLayout(LAYOUT), tokenizer.pad_token_id)
    results, times = [], {}
    for frames, turns, target in ((480, 90, 8.0), (4000, 500, 20.0)):
        sample = stream(frames, turns)
        item = Item(sample, encode(SMOLVLM.chat(sample, no_pictures), tokenizer))
        written_ = written(sample)
        assert searched(tokenizer, *written_) == (item.encoded.labels(), item.encoded.points.tolist())
        cold, scan = side_by_side(
            lambda s=sample: collate([Item(s, encode(SMOLVLM.chat(s, no_pictures), tokenizer))]),
            lambda w=written_: searched(tokenizer, *w),
            rounds=5,
        )
        detail = f"{len(item.encoded):,} tokens, {turns} turns: {cold * 1e3:.1f} ms against {scan * 1e3:.1f} ms"
        results.append(Measured("C1 collate a clip, cold", scan / cold, target, True, detail))
        warm, tokenise = side_by_side(
            lambda i=item: collate([i]), lambda t=written_[0]: tokenizer(t)["input_ids"], rounds=9
        )
        detail = f"{warm * 1e3:.2f} ms against {tokenise * 1e3:.2f} ms for tokenising alone"
        results.append(Measured("C2 collate, tokenised before", warm / tokenise, 0.15, False, detail))
    for frames, turns in ((2000, 250), (24000, 3000)):
        sample = stream(frames, turns)
        length = len(encode(SMOLVLM.chat(sample, no_pictures), tokenizer))
        times[length], _ = side_by_side(
            lambda s=sample: collate([Item(s, encode(SMOLVLM.chat(s, no_pictures), tokenizer))]), list, rounds=5
        )
    gc.unfreeze()
    (short, fast), (long, slow) = times.items()
    exponent = math.log(slow / fast) / math.log(long / short)
    detail = f"{fast * 1e3:.0f} ms at {short:,} tokens, {slow * 1e3:.0f} ms at {long:,}"
    return [*results, Measured("C3 growth with length", exponent, 1.2, False, detail, unit="")]


class Labels(Collator):
    """Everything but the frames themselves, which have claims of their own."""

    def __call__(self, items: Any) -> Any:
        from prospect.training.collate import pad
        from prospect.training.losses import learnt_points

        batch: dict[str, Any] = pad([item.encoded for item in items], self.pad_id, self.side)
        batch["learnt_points"] = learnt_points(batch["labels"])
        return batch | self._decisions(items, batch["input_ids"].shape[1])


def no_pictures(_: Any) -> Any:
    raise AssertionError


Ranges = list[tuple[int, int]]


def written(sample: Sample) -> tuple[str, Ranges, Ranges]:
    """The whole text, and the character ranges of what is learnt: turns, and frames with a decision."""
    text, turns, frames = "", [], []
    for segment in SMOLVLM.chat(sample, no_pictures):
        if segment.channel is not None:
            turns.append((len(text), len(text) + len(segment.text)))
        size = len(segment.text) // max(1, len(segment.decisions))
        for number in range(len(segment.decisions)):
            frames.append((len(text) + number * size, len(text) + (number + 1) * size))
        text += segment.text
    return text, turns, frames


def searched(tokenizer: Any, text: str, turns: Ranges, frames: Ranges) -> tuple[list[int], list[int]]:
    """Labels and decision points by offsets: for every range a scan from the beginning for its first and last token."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
    labels, points = [IGNORE] * len(ids), []
    for begin, end in turns:
        first = next(index for index, (start, _) in enumerate(offsets) if start >= begin)
        last = next(index for index, (_, stop) in enumerate(offsets) if stop >= end)
        labels[first : last + 1] = ids[first : last + 1]
    for begin, end in frames:
        next(index for index, (start, _) in enumerate(offsets) if start >= begin)
        points.append(next(index for index, (_, stop) in enumerate(offsets) if stop >= end))
    return labels, points
