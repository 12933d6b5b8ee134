"""What the model will see and learn of one sample, and what its split teaches: a plain view, ready to be drawn."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from prospect.conversation.sample import Picture, Turn
from prospect.conversation.segments import Encoded
from prospect.data.dataset import Dataset, by_kind
from prospect.errors import UserError
from prospect.models.vlm import VLM
from prospect.training.audit import audited, summary

WIDEST = 320  # pixels of a picture on the page


def view(vlm: VLM, data: Dataset, split: str, index: int, max_length: int | None = None) -> dict[str, Any]:
    """Texts, numbers and data URIs only. Raises for an index that isn't there."""
    samples = data.splits[split]
    if not -len(samples) <= index < len(samples):
        raise UserError(f"index={index}: {data.name}/{split} has {len(samples)} samples")
    items, wrong = audited(vlm, samples, f"{data.name}/{split}", max_length)
    sample, encoded = items[index]
    limit = max_length or vlm.max_length
    return {
        "data": data.name,
        "split": split,
        "index": index % len(samples),
        "id": sample.id,
        "meta": {key: str(value) for key, value in sample.meta.items()},
        "turns": [_turn(turn) for turn in sample.turns],
        "tokens": list(pieces(encoded, vlm)),
        "counts": {
            "tokens": len(encoded),
            "learnt": sum(channel is not None for channel in encoded.channels),
            "image tokens": encoded.ids.count(vlm.image_token_id),
            "share of context": f"{len(encoded) / limit:.1%} of {limit:,}",
        },
        "audit": {
            **dataclasses.asdict(summary(items)),
            "faults": wrong,
            "findings": [
                {"severity": severity, "kind": kind, "count": len(group), "example": group[0].message}
                for (severity, kind), group in by_kind(data.findings).items()
            ],
            "classes": data.counts(split) if data.labels else {},
        },
        "model": {"parameters": vlm.parameter_counts()["total"], "context": limit},
    }


def pieces(encoded: Encoded, vlm: VLM) -> Iterator[dict[str, Any]]:
    """Tokens as texts with their channel. Image slots in a row are one piece; bytes of one character stay together."""
    start = 0
    for image, run in groupby(encoded.ids, key=lambda token: token == vlm.image_token_id):
        stop = start + len(list(run))
        if image:
            yield _piece(encoded, vlm, start, stop, f"<image> ×{stop - start}" if stop - start > 1 else "<image>")
        else:
            yield from _texts(encoded, vlm, start, stop)
        start = stop


def _texts(encoded: Encoded, vlm: VLM, start: int, stop: int) -> Iterator[dict[str, Any]]:
    begin = start
    for end in range(start + 1, stop + 1):
        text = str(vlm.tokenizer.decode(encoded.ids[begin:end], clean_up_tokenization_spaces=False))
        if "\ufffd" not in text or end == stop:  # a lone byte of a longer character waits for the rest
            yield _piece(encoded, vlm, begin, end, text)
            begin = end


def _piece(encoded: Encoded, vlm: VLM, start: int, stop: int, text: str) -> dict[str, Any]:
    control = encoded.ids[start] in vlm.tokenizer.added_tokens_decoder
    return {"text": text, "ids": encoded.ids[start:stop], "channel": encoded.channels[start], "control": control}


def _turn(turn: Turn) -> dict[str, Any]:
    return {"role": turn.role, "learn": turn.learn, "parts": [_part(part) for part in turn.parts]}


def _part(part: str | Picture) -> dict[str, Any]:
    if isinstance(part, str):
        return {"text": part}
    picture = part.open()
    size = f"{picture.width} × {picture.height} px" + (", blank" if part.blank else "")
    if picture.width < WIDEST:  # small pictures are shown as they are, in whole multiples
        scale = max(1, WIDEST // 2 // picture.width)
        picture = picture.resize((picture.width * scale, picture.height * scale), 0)
    picture.thumbnail((WIDEST, WIDEST))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return {
        "image": "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode(),
        "size": size,
        "name": part.name,
    }
