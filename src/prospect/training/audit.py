"""The label audit: every sample is encoded once and checked before step 0. Wrong labels never reach the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prospect.conversation.sample import Sample
from prospect.conversation.segments import CHANNELS, NUMBER, Encoded, encode
from prospect.conversation.split import split
from prospect.data.dataset import OVERLAP
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


def encoded_split(
    vlm: VLM, samples: Sequence[Sample], where: str, max_length: int | None = None, overlap: float = OVERLAP
) -> list[Item]:
    """Encode a split; any fault stops the run with the data set, split and index of every bad sample."""
    items, wrong = audited(vlm, samples, where, max_length, overlap)
    if wrong:
        more = f"\n  … and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise UserError("the label audit found:\n  " + "\n  ".join(wrong[:SHOWN]) + more)
    return items


def audited(
    vlm: VLM,
    samples: Sequence[Sample],
    where: str,
    max_length: int | None = None,
    overlap: float = OVERLAP,
    learns: bool = True,
) -> tuple[list[Item], list[str]]:
    """Every sample encoded, and every fault by place. With learns=False they are prompts, and nothing is learnt."""
    limit = max_length or vlm.max_length
    items: list[Item] = []
    wrong: list[str] = []
    for index, whole in enumerate(samples):
        for sample, encoded in parts(vlm, whole, limit, overlap, f"{where}[{index}] {whole.id}"):
            found = faults(vlm, sample, encoded, limit, learns)
            wrong += [f"{where}[{index}] ({sample.id}): {fault}" for fault in found]
            items.append(Item(sample, encoded))
    return items, wrong


def parts(vlm: VLM, sample: Sample, limit: int, overlap: float, name: str) -> Iterator[tuple[Sample, Encoded]]:
    """A sample with its tokens; a stream that is too long as the parts that fit."""
    encoded = encode(vlm.chat(sample), vlm.tokenizer, name)
    if len(encoded) <= limit or not sample.frames:
        yield sample, encoded
        return
    for part in split(sample, limit, lambda shorter: len(encode(vlm.chat(shorter), vlm.tokenizer, name)), overlap):
        yield part, encode(vlm.chat(part), vlm.tokenizer, name)


def faults(vlm: VLM, sample: Sample, encoded: Encoded, limit: int, learns: bool = True) -> list[str]:
    found = [_nothing_learnt(encoded) if learns else None, _images(vlm, sample, encoded), _length(encoded, limit)]
    return [fault for fault in (*found, _targets(vlm, sample, encoded), _decisions(sample, encoded)) if fault]


def _nothing_learnt(encoded: Encoded) -> str | None:
    return None if encoded.numbers.any() or len(encoded.points) else "no token is learnt; it needs an assistant turn"


def _images(vlm: VLM, sample: Sample, encoded: Encoded) -> str | None:
    slots = encoded.count(vlm.image_token_id)
    features = sum(vlm.images.features(picture) for picture in sample.pictures)
    features += vlm.frame_tokens * sum(len(frames) for frames in sample.frames)
    return None if slots == features else f"{slots} image tokens against {features} image features"


def _decisions(sample: Sample, encoded: Encoded) -> str | None:
    """One decision for every learnt frame, on an image token, and as many of each kind as there are learnt turns."""
    frames = sum(len(turn.frames) for turn in sample.turns if turn.role == "frames" and turn.learn)
    speak, dst = encoded.right.sum(axis=0).tolist()
    turns = {role: sum(turn.role == role and turn.learn for turn in sample.turns) for role in ("assistant", "dst")}
    if not frames or (len(encoded.points), speak, dst) == (frames, turns["assistant"], turns["dst"]):
        return None
    return (
        f"{len(encoded.points)} decisions, {speak} of them to speak and {dst} to update, "
        f"against {frames} learnt frames, {turns['assistant']} utterances and {turns['dst']} updates"
    )


def _length(encoded: Encoded, limit: int) -> str | None:
    if len(encoded) <= limit:
        return None
    return f"{len(encoded)} tokens, over the limit of {limit}; smaller or unsplit images (model.image), or fewer turns"


def _targets(vlm: VLM, sample: Sample, encoded: Encoded) -> str | None:
    """The learnt tokens, decoded, must be exactly the turns' texts with their end tokens."""
    decoded = [
        vlm.tokenizer.decode(encoded.tokens[start:stop], clean_up_tokenization_spaces=False)
        for channel, start, stop in encoded.spans()
        if channel is not None
    ]
    wanted = vlm.learnt_texts(sample)
    if decoded == wanted:
        return None
    first = next((pair for pair in zip(decoded, wanted, strict=False) if pair[0] != pair[1]), (decoded, wanted))
    return f"the learnt tokens decode to {first[0]!r}, the turn is {first[1]!r}"


def summary(items: Sequence[Item]) -> LabelSummary:
    channels = Counter(
        {name: sum(int((item.encoded.numbers == NUMBER[name]).sum()) for item in items) for name in CHANNELS}
    )
    lengths = [len(item.encoded) for item in items]
    return LabelSummary(
        samples=len(items),
        tokens=sum(lengths),
        learnt=channels.total(),
        longest=max(lengths, default=0),
        by_channel={name: count for name, count in channels.items() if count},
    )
