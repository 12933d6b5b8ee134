"""What a data room hands over: samples by split, what the audit saw, and a fingerprint of all of it."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from prospect.conversation.dst import said
from prospect.conversation.sample import Frames, Part, Picture, Sample, Turn
from prospect.conversation.stream import decided
from prospect.data.frames import Store, content_digest
from prospect.errors import UserError

SHOWN = 5  # examples of a kind in one error message

OVERLAP = 10.0  # seconds of context before what is learnt, where a stream is split


@dataclass(frozen=True)
class Finding:
    """One thing the audit saw. `sample` is empty where the finding is about a file or a split."""

    kind: str
    severity: Literal["error", "warning"]
    split: str
    sample: str
    message: str


@dataclass(frozen=True)
class Phase:
    """Other samples to learn from first: `share` of a run's steps, before those of the train split."""

    name: str
    share: float
    samples: list[Sample]


@dataclass(frozen=True)
class Dataset:
    """`splits` always has train, val and test; any of them may be empty. Only classifications have labels.

    `answers`: what users ask and get is free text. With `by_user` every answer is scored, and `Sample.meta["user"]`
    says whose it is; without, the last answer of each conversation.

    `questions`: each has short answers of its own. `prompts`: what is asked, without an answer. `preferences`: pairs of
    answers to the same, see conversation/preference.py. `Sample.meta["columns"]` is what a reward may see of a sample,
    of questions always `question`, `answer` and `answers`: all that are right.
    """

    name: str
    task: Literal["classification", "stream", "answers", "questions", "prompts", "preferences"]
    splits: dict[str, list[Sample]]
    labels: tuple[str, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    fingerprint: str = ""
    balanced: bool = False
    warmup: tuple[Phase, ...] = ()  # in this order
    neg_frame_sampling_rate: float = 1.0  # share of silent frames whose silence is learnt, drawn anew every epoch
    overlap: float = OVERLAP
    frame_root: Path | None = None  # of streams: the folder that the names of frame stores start from
    radius: float = math.inf  # of answers: how far from the true point a click still counts, in the points' own unit
    by_user: bool = True
    answer_format: Literal["plain", "think"] = "plain"  # of questions; think: <think>…</think><answer>…</answer>
    answer_tokens: int | None = None  # of questions: the longest answer in evaluation; None goes by the true ones
    notes: dict[str, Any] = field(default_factory=dict)  # what a data room has to tell beside the rest of its facts

    @property
    def streams(self) -> Iterator[Frames]:
        """Every span of frames, of all splits and phases."""
        samples = chain(*self.splits.values(), *(phase.samples for phase in self.warmup))
        return (span for sample in samples for span in sample.frames)

    @property
    def groups(self) -> dict[str, list[Sample]]:
        """Splits and warm-up phases by name."""
        return {**self.splits, **{phase.name: phase.samples for phase in self.warmup}}

    def counts(self, split: str) -> dict[str, int]:
        """Samples of each class, absent classes included."""
        seen = Counter(sample.meta.get("label") for sample in self.splits[split])
        return {label: seen[label] for label in self.labels}

    def facts(self) -> dict[str, Any]:
        """For the run's manifest: what was learnt from, so that two runs can be told to have seen the same."""
        if self.task == "stream":
            told: dict[str, Any] = {"streams": {split: footage(clips) for split, clips in self.splits.items()}}
        elif self.task == "answers":
            told = {"users": {split: owners(samples) for split, samples in self.splits.items()}} if self.by_user else {}
        elif self.task == "classification":
            told = {"classes": {split: self.counts(split) for split in self.splits}}
        else:
            told = {}  # what there is to count stands in `notes`
        if self.warmup:
            told["warmup"] = {phase.name: {"share": phase.share, **footage(phase.samples)} for phase in self.warmup}
        return {
            "name": self.name,
            "sha256": self.fingerprint,
            "samples": {split: len(samples) for split, samples in self.splits.items()},
            **told,
            **self.notes,
            "findings": {kind: len(group) for (_, kind), group in by_kind(self.findings).items()},
        }


def owners(samples: Iterable[Sample]) -> dict[str, int]:
    """Samples of each user."""
    counts = Counter(sample.meta["user"] for sample in samples)
    return {str(user): counts[user] for user in sorted(counts)}


def footage(samples: Iterable[Sample]) -> dict[str, Any]:
    """How much there is of streams: clips, frames, the types of users, and events by kind."""
    clips = list(samples)
    users = Counter(sample.meta.get("user_type", "") for sample in clips)
    events = Counter(kind for sample in clips for kind in _kinds(sample))
    return {
        "clips": len(clips),
        "frames": sum(len(frames) for sample in clips for frames in sample.frames),
        "users": dict(sorted(users.items())),
        "events": dict(sorted(events.items())),
    }


def _kinds(sample: Sample) -> Iterator[str]:
    for turn, decisions in decided(sample):
        yield from (kind for decision in decisions if decision for kind in decision.kinds)
        if turn.role == "user":
            yield "user"


def by_kind(findings: Iterable[Finding]) -> dict[tuple[str, str], list[Finding]]:
    """Findings grouped by (severity, kind), errors first, each group in the order of reading."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in sorted(findings, key=lambda finding: finding.severity):
        groups.setdefault((finding.severity, finding.kind), []).append(finding)
    return groups


def findings_table(findings: Iterable[Finding], examples: int = 3) -> Table:
    """For a terminal: one row a kind, with its count and the first few messages."""
    table = Table("", "finding", "count", "what", title="data audit", title_justify="left")
    for (severity, kind), group in by_kind(findings).items():
        shown = [finding.message for finding in group[:examples]]
        if len(group) > examples:
            shown.append(f"… and {len(group) - examples} more")
        # Text, not str: file names and captions may hold what rich takes for markup
        table.add_row(Text(severity), Text(kind), str(len(group)), Text("\n".join(shown)))
    return table


def findings_list(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """For JSON: every finding, nothing left out."""
    return [asdict(finding) for finding in findings]


def refuse(findings: Iterable[Finding], folder: str, what: str = "rows", key: str = "folder") -> None:
    """One message with every error, by kind, when there is one."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        advice = f"data.on_bad=skip leaves these {what} out"
        raise UserError(f"data.{key}={folder}: {len(errors)} errors ({advice})\n{listing(errors)}")


def listing(findings: Iterable[Finding]) -> str:
    """Findings by kind with their counts, the first few of each in full."""
    lines = []
    for (_, kind), group in by_kind(findings).items():
        lines.append(f"  {kind}: {len(group)}")
        lines += [f"    {finding.message}" for finding in group[:SHOWN]]
        lines += [f"    … and {len(group) - SHOWN} more"] if len(group) > SHOWN else []
    return "\n".join(lines)


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
