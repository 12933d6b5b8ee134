"""The label audit: every sample is encoded once and checked before step 0. Wrong labels never reach the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from prospect.conversation.sample import Sample
from prospect.conversation.segments import Encoded, encode
from prospect.errors import UserError
from prospect.models.vlm import VLM
from prospect.training.collate import Item

SHOWN = 10  # faults spelt out in a message; the rest are counted


@dataclass(frozen=True)
class LabelSummary:
    """What a split will teach, in numbers."""

    samples: int
    tokens: int
    learnt: int
    longest: int
    by_channel: dict[str, int]


def encoded_split(vlm: VLM, samples: Sequence[Sample], where: str, max_length: int | None = None) -> list[Item]:
    """Encode a split; any fault stops the run with the data set, split and index of every bad sample."""
    items, wrong = audited(vlm, samples, where, max_length)
    if wrong:
        more = f"\n  … and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise UserError("the label audit found:\n  " + "\n  ".join(wrong[:SHOWN]) + more)
    return items


def audited(
    vlm: VLM, samples: Sequence[Sample], where: str, max_length: int | None = None
) -> tuple[list[Item], list[str]]:
    """Every sample encoded, and every fault by place."""
    limit = max_length or vlm.max_length
    items: list[Item] = []
    wrong: list[str] = []
    for index, sample in enumerate(samples):
        encoded = encode(vlm.chat(sample), vlm.tokenizer, f"{where}[{index}] {sample.id}")
        wrong += [f"{where}[{index}] ({sample.id}): {fault}" for fault in faults(vlm, sample, encoded, limit)]
        items.append(Item(sample, encoded))
    return items, wrong


def faults(vlm: VLM, sample: Sample, encoded: Encoded, limit: int) -> list[str]:
    found = [_nothing_learnt(encoded), _images(vlm, sample, encoded), _length(encoded, limit)]
    return [fault for fault in (*found, _targets(vlm, sample, encoded)) if fault]


def _nothing_learnt(encoded: Encoded) -> str | None:
    return None if any(encoded.channels) else "no token is learnt; it needs an assistant turn"


def _images(vlm: VLM, sample: Sample, encoded: Encoded) -> str | None:
    slots = encoded.ids.count(vlm.image_token_id)
    features = sum(vlm.images.features(picture) for picture in sample.pictures)
    return None if slots == features else f"{slots} image tokens against {features} image features"


def _length(encoded: Encoded, limit: int) -> str | None:
    if len(encoded) <= limit:
        return None
    return f"{len(encoded)} tokens, over the limit of {limit}; smaller or unsplit images (model.image), or fewer turns"


def _targets(vlm: VLM, sample: Sample, encoded: Encoded) -> str | None:
    """The learnt tokens, decoded, must be exactly the turns' texts with their end tokens."""
    decoded = [
        vlm.tokenizer.decode(encoded.ids[start:stop], clean_up_tokenization_spaces=False)
        for channel, start, stop in encoded.spans()
        if channel is not None
    ]
    wanted = vlm.learnt_texts(sample)
    if decoded == wanted:
        return None
    first = next((pair for pair in zip(decoded, wanted, strict=False) if pair[0] != pair[1]), (decoded, wanted))
    return f"the learnt tokens decode to {first[0]!r}, the turn is {first[1]!r}"


def summary(items: Sequence[Item]) -> LabelSummary:
    channels = Counter(channel for item in items for channel in item.encoded.channels if channel is not None)
    lengths = [len(item.encoded) for item in items]
    return LabelSummary(
        samples=len(items),
        tokens=sum(lengths),
        learnt=channels.total(),
        longest=max(lengths, default=0),
        by_channel=dict(channels),
    )
