"""One sha256 of all that a model can see or learn of a data set: the same wherever its files lie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from prospect.conversation.dst import said
from prospect.conversation.sample import Frames, Part, Picture, Sample, Turn
from prospect.data.dataset import Phase
from prospect.data.frames import Store, content_digest


def picture_digest(picture: Picture) -> str:
    """sha256 of a picture as it is stored: the file's bytes, or the pixels of one that lives in memory."""
    source = picture.source
    if isinstance(source, Path):
        return hashlib.sha256(source.read_bytes()).hexdigest()
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    return hashlib.sha256(f"{source.mode}{source.size}".encode() + source.tobytes()).hexdigest()


def frames_digest(frames: Frames) -> str:
    """What a span of a video's store shows, known by the digest that its manifest has of it."""
    sources = [source for source in (frames.store, frames.features) if source is not None]
    assert all(isinstance(source, Store) for source in sources), "frames that live in memory need a digest of their own"
    return " ".join(content_digest(source.path) for source in sources if isinstance(source, Store))


def fingerprint(
    splits: Mapping[str, Sequence[Sample]],
    digest: Callable[[Picture], str] = picture_digest,
    warmup: Iterable[Phase] = (),
    footage_digest: Callable[[Frames], str] = frames_digest,
) -> str:
    """sha256 over what a model can see or learn: ids, roles, texts, labels, pictures. Folder names do not enter."""
    whole = hashlib.sha256()
    groups = [(name, splits[name]) for name in sorted(splits)]
    groups += [(f"warmup {phase.name} {phase.share}", phase.samples) for phase in warmup]
    for name, samples in groups:
        for sample in samples:
            pieces = [name, *_pieces(sample, digest, footage_digest)]
            for piece in pieces:
                raw = piece.encode()
                whole.update(len(raw).to_bytes(8, "big") + raw)  # lengths, so that no two lists of pieces read alike
            whole.update(len(pieces).to_bytes(8, "big"))
    return whole.hexdigest()


def _pieces(sample: Sample, digest: Callable[[Picture], str], footage_digest: Callable[[Frames], str]) -> Iterator[str]:
    yield sample.id
    yield str(sample.meta.get("label"))
    if "columns" in sample.meta:
        yield f"columns {json.dumps(sample.meta['columns'], sort_keys=True)}"
    if "rejected" in sample.meta:
        yield f"rejected {sample.meta['rejected']}"
    if sample.task:
        steps = [[step.id, step.name] for step in sample.task.steps]
        yield f"task {json.dumps([sample.task.goal, steps, list(sample.task.state.items())])}"
        if not sample.task.tell_state:
            yield "its state is not told"
    for turn in sample.turns:
        yield turn.role
        yield str(turn.learn)
        if turn.kind:
            yield f"kind {turn.kind}"
        yield from _parts(turn, digest, footage_digest)


def _parts(turn: Turn, digest: Callable[[Picture], str], footage_digest: Callable[[Frames], str]) -> Iterator[str]:
    if turn.role == "dst":
        yield f"update {said(turn.transitions)}"
        return
    for part in turn.parts:
        yield _words(part, digest, footage_digest)


def _words(part: Part, digest: Callable[[Picture], str], footage_digest: Callable[[Frames], str]) -> str:
    if isinstance(part, Picture):
        scaled = "" if part.edge is None else f" edge={part.edge}"
        return f"picture {digest(part)} blank={part.blank}{scaled}"
    if isinstance(part, Frames):
        return f"frames {footage_digest(part)} {part.start} {part.stop} fps={part.fps:g} blank={part.blank}"
    return f"text {part}"
