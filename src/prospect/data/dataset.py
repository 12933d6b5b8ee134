"""What a data room hands over: samples by split, what the audit saw, and a fingerprint of all of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from prospect.conversation.sample import Picture, Sample


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
    """Other samples to train on first, for a share of the run's steps."""

    name: str
    share: float
    samples: list[Sample]


@dataclass(frozen=True)
class Dataset:
    """`splits` always has train, val and test; any of them may be empty."""

    name: str
    task: Literal["classification", "stream"]
    splits: dict[str, list[Sample]]
    labels: tuple[str, ...] = ()
    warmup: tuple[Phase, ...] = ()
    neg_frame_sampling_rate: float = 1.0
    findings: list[Finding] = field(default_factory=list)
    fingerprint: str = ""
    balanced: bool = False

    def counts(self, split: str) -> dict[str, int]:
        """Samples of each class, absent classes included."""
        seen = Counter(sample.meta["label"] for sample in self.splits[split])
        return {label: seen[label] for label in self.labels}

    def facts(self) -> dict[str, Any]:
        """For the run's manifest: what was learnt from, so that two runs can be told to have seen the same."""
        return {
            "name": self.name,
            "sha256": self.fingerprint,
            "samples": {split: len(samples) for split, samples in self.splits.items()},
            "classes": {split: self.counts(split) for split in self.splits},
            "findings": {kind: len(group) for (_, kind), group in by_kind(self.findings).items()},
        }


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


def picture_digest(picture: Picture) -> str:
    """sha256 of a picture as it is stored: the file's bytes, or the pixels of one that lives in memory."""
    source = picture.source
    if isinstance(source, Path):
        return hashlib.sha256(source.read_bytes()).hexdigest()
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    return hashlib.sha256(f"{source.mode}{source.size}".encode() + source.tobytes()).hexdigest()


def fingerprint(splits: Mapping[str, Sequence[Sample]], digest: Callable[[Picture], str] = picture_digest) -> str:
    """sha256 over what a model can see or learn: ids, roles, texts, labels, pictures. Folder names do not enter."""
    whole = hashlib.sha256()
    for name in sorted(splits):
        for sample in splits[name]:
            pieces = [name, sample.id, str(sample.meta.get("label"))]
            for turn in sample.turns:
                pieces += [turn.role, str(turn.learn)]
                pieces += [
                    f"text {part}" if isinstance(part, str) else _picture_words(part, digest) for part in turn.parts
                ]
            for piece in pieces:
                raw = piece.encode()
                whole.update(len(raw).to_bytes(8, "big") + raw)  # lengths, so that no two lists of pieces read alike
            whole.update(len(pieces).to_bytes(8, "big"))
    return whole.hexdigest()


def _picture_words(picture: Picture, digest: Callable[[Picture], str]) -> str:
    return f"picture {digest(picture)} blank={picture.blank}"
