"""What the model will see and learn of one sample, and what its split teaches: a plain view, ready to be drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from PIL import Image

from prospect.conversation.dst import said
from prospect.conversation.preference import rejected
from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import NAMES, Encoded
from prospect.conversation.stream import told
from prospect.data.dataset import Dataset, footage
from prospect.data.findings import by_kind
from prospect.errors import UserError
from prospect.models.vlm import VLM
from prospect.training.audit import audited, parts, summary
from prospect.training.collate import Item
from prospect.training.preview_stream import Sampling, watched
from prospect.training.thumbnails import data_uri

WIDEST = 320  # pixels of a picture on the page


def view(
    vlm: VLM, data: Dataset, split: str, index: int, max_length: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """Texts, numbers and data URIs only. `split` may be a warm-up phase. Raises for an index that isn't there."""
    samples, limit = data.groups[split], max_length or vlm.max_length
    if not -len(samples) <= index < len(samples):
        raise UserError(f"index={index}: {data.name}/{split} has {len(samples)} samples")
    sample, index = samples[index], index % len(samples)
    is_held_out = split in ("val", "test")
    sampling = Sampling(1.0, None, seed) if is_held_out else Sampling(data.neg_frame_sampling_rate, 0, seed)
    name = f"{data.name}/{split}[{index}] {sample.id}"
    versions = [("preferred", sample), ("rejected", rejected(sample))] if _are_pairs(data) else [("", sample)]
    pieces_ = [(said, *part) for said, one in versions for part in parts(vlm, one, limit, data.overlap, name)]
    return {
        "data": data.name,
        "split": split,
        "index": index,
        "id": sample.id,
        "meta": {key: str(value) for key, value in sample.meta.items()},
        "frames": sum(len(frames) for frames in sample.frames),
        "parts": [{"answer": said, **_shown(vlm, part, tokens, limit, sampling)} for said, part, tokens in pieces_],
        "audit": _audit(vlm, data, split, max_length),
        "model": {"parameters": vlm.parameter_counts()["total"], "context": limit},
    }


def _are_pairs(data: Dataset) -> bool:
    return data.task == "preferences"


def _shown(vlm: VLM, sample: Sample, encoded: Encoded, limit: int, sampling: Sampling) -> dict[str, Any]:
    """The whole sample, or of a stream that is too long one of its parts."""
    item = Item(sample, encoded, sampling.epoch)
    return {
        "id": sample.id,
        "turns": [_turn(sample, turn) for turn in sample.turns],
        "tokens": list(pieces(encoded, vlm)),
        "counts": {
            "tokens": len(encoded),
            "learnt": sum(channel is not None for channel in encoded.channels),
            "image tokens": encoded.count(vlm.image_token_id),
            "share of context": f"{len(encoded) / limit:.1%} of {limit:,}",
        },
        "stream": watched(vlm, item, limit, sampling) if sample.frames else None,
    }


def _audit(vlm: VLM, data: Dataset, split: str, max_length: int | None) -> dict[str, Any]:
    samples = data.groups[split]
    where, learns = f"{data.name}/{split}", data.task != "prompts"
    items, wrong = audited(vlm, samples, where, max_length, data.overlap, learns)
    if _are_pairs(data):
        wrong += audited(vlm, [rejected(sample) for sample in samples], f"{where}, rejected", max_length)[1]
    findings = [finding for finding in data.findings if finding.split in (split, "")]
    return {
        **dataclasses.asdict(summary(items)),
        "faults": wrong,
        "findings": [
            {"severity": severity, "kind": kind, "count": len(group), "example": group[0].message}
            for (severity, kind), group in by_kind(findings).items()
        ],
        "classes": data.counts(split) if data.labels else {},
        "streams": footage(samples) if data.task == "stream" else None,
    }


def pieces(encoded: Encoded, vlm: VLM) -> Iterator[dict[str, Any]]:
    """Tokens as texts with their channel. Image slots in a row are one piece; bytes of one character stay together."""
    start, name = 0, vlm.family.format.image
    for image, run in groupby(encoded.ids, key=lambda token: token == vlm.image_token_id):
        stop = start + len(list(run))
        if image:
            yield _piece(encoded, vlm, start, stop, f"{name} ×{stop - start}" if stop - start > 1 else name)
        else:
            yield from _texts(encoded, vlm, start, stop)
        start = stop


def _texts(encoded: Encoded, vlm: VLM, start: int, stop: int) -> Iterator[dict[str, Any]]:
    begin = start
    for end in range(start + 1, stop + 1):
        text = str(vlm.tokenizer.decode(encoded.tokens[begin:end], clean_up_tokenization_spaces=False))
        if "\ufffd" not in text or end == stop:  # a lone byte of a longer character waits for the rest
            yield _piece(encoded, vlm, begin, end, text)
            begin = end


def _piece(encoded: Encoded, vlm: VLM, start: int, stop: int, text: str) -> dict[str, Any]:
    ids, channel = encoded.tokens[start:stop].tolist(), NAMES[encoded.numbers[start]]
    return {"text": text, "ids": ids, "channel": channel, "control": ids[0] in vlm.tokenizer.added_tokens_decoder}


def _turn(sample: Sample, turn: Turn) -> dict[str, Any]:
    """Texts as the chat format writes them: the task in the system turn, transitions as an update."""
    shown = [
        _picture(part) if isinstance(part, Picture) else {"text": part}
        for part in turn.parts
        if isinstance(part, str | Picture)
    ]
    if turn.role == "dst":
        shown = [{"text": said(turn.transitions)}]
    elif turn.role == "system" and sample.task:
        shown = [{"text": turn.text + told(sample.task)}]
    return {"role": turn.role, "learn": turn.learn, "kind": turn.kind, "parts": shown}


def _picture(part: Picture) -> dict[str, Any]:
    picture = part.open()
    size = f"{picture.width} × {picture.height} px" + (", blank" if part.blank else "")
    if picture.width < WIDEST:  # small pictures are shown as they are, in whole multiples
        scale = max(1, WIDEST // 2 // picture.width)
        picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    picture.thumbnail((WIDEST, WIDEST))
    return {"image": data_uri(picture), "size": size, "name": part.name}
