"""What is wrong with labelled pictures: every check yields findings, and names the rows that they make unusable."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from PIL import Image

from prospect.data.element.rows import ELEMENTS, Fault, Row
from prospect.data.findings import Finding
from prospect.data.labels import gives_away
from prospect.data.splits import SPLITS

Flaw = tuple[Finding, Row | None]  # what was found, and the row that cannot be used because of it
BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises on bytes that were hurt
SHY = 40  # characters of a prompt quoted in a finding


@dataclass
class Audit:
    """The usable rows, their pictures' digests by `Row.where`, and all that was found."""

    rows: list[Row]
    digests: dict[str, str]
    findings: list[Finding] = field(default_factory=list)


def audit(rows: list[Row], prompt: Callable[[Row], str], context: bool) -> Audit:
    """All checks. `Row.split` is the final split here; `prompt` is the text that the model will read."""
    flaws, digests = _pictures(rows)
    seen = [row for row in rows if row.where in digests]
    flaws += _contradictions(seen, digests)
    flaws += _duplicates(seen, digests)
    flaws += _overlaps(seen, digests)
    flaws += _leaks(rows, prompt)
    flaws += [] if context else _leaks_kept_out(rows)
    flaws += _mixtures(rows)
    bad = {row.where for _, row in flaws if row}
    kept = [row for row in rows if row.where not in bad]
    return Audit(kept, digests, [finding for finding, _ in flaws] + list(_missing_classes(kept)))


def _flaw(kind: str, row: Row, message: str) -> Flaw:
    return Finding(kind, "error", row.split, row.image_id, f"{row.where}: {message}"), row


def _warning(kind: str, message: str, split: str = "", sample: str = "") -> Flaw:
    return Finding(kind, "warning", split, sample, message), None


def _pictures(rows: list[Row]) -> tuple[list[Flaw], dict[str, str]]:
    """Decodes every picture once: a header alone does not show that a file was cut short."""
    flaws, digests = [], {}
    with ThreadPoolExecutor() as pool:  # decoding releases the interpreter lock
        for row, result in zip(rows, pool.map(_decoded, rows), strict=True):
            if isinstance(result, Fault):
                flaws.append(_flaw(result.kind, row, str(result)))
            else:
                digests[row.where] = result
    return flaws, digests


def _decoded(row: Row) -> str | Fault:
    """sha256 of the picture's bytes, or what is wrong with it."""
    if isinstance(row.image, Path) and not row.base:
        return Fault("missing-picture", f"there is no picture {row.written!r}, looked for at {row.image}")
    raw = row.image.read_bytes() if isinstance(row.image, Path) else row.image
    try:
        with Image.open(BytesIO(raw)) as picture:
            picture.convert("RGB")
    except BROKEN as error:
        return Fault("unreadable-picture", f"{row.written!r} cannot be decoded: {error}")
    return hashlib.sha256(raw).hexdigest()


def _groups(rows: list[Row], key: Callable[[Row], str]) -> Iterator[list[Row]]:
    """Rows with the same key, where there are several."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return (group for group in groups.values() if len(group) > 1)


def _contradictions(rows: list[Row], digests: dict[str, str]) -> Iterator[Flaw]:
    """Nobody can say which of two labels is right, so all rows of such a picture go."""
    for group in _groups(rows, lambda row: digests[row.where]):
        labels = Counter(row.label for row in group)
        if len(labels) > 1:
            told = ", ".join(f"{row.where} {row.label}" for row in group)
            for row in group:
                yield _flaw("contradiction", row, f"the picture {row.written!r} has several labels: {told}")


def _duplicates(rows: list[Row], digests: dict[str, str]) -> Iterator[Flaw]:
    for group in _groups(rows, lambda row: f"{row.split} {row.label} {digests[row.where]}"):
        places = ", ".join(row.where for row in group)
        yield _warning("duplicate", f"the same picture {len(group)} times: {places}", group[0].split, group[0].image_id)


def _overlaps(rows: list[Row], digests: dict[str, str]) -> Iterator[Flaw]:
    """A picture in several splits, by its bytes or its id. What is held out stays: the rows before it go."""
    told: set[tuple[str, str]] = set()
    for key in (lambda row: digests[row.where], lambda row: row.image_id):
        for group in _groups(rows, key):
            last = max(group, key=lambda row: SPLITS.index(row.split))
            for row in group:
                if row.split != last.split and (row.where, last.split) not in told:
                    told.add((row.where, last.split))
                    yield _flaw(
                        "overlap",
                        row,
                        f"the picture {row.written!r} of {row.split} is also in {last.split}: {last.where}",
                    )


def _leaks(rows: list[Row], prompt: Callable[[Row], str]) -> Iterator[Flaw]:
    """Rows whose prompt names their own label. Lines that stand under every label are the instruction."""
    prompts = {row.where: prompt(row) for row in rows}
    common = _common_lines(rows, prompts)
    for row in rows:
        own = "\n".join(line for line in prompts[row.where].splitlines() if line not in common)
        if gives_away(own, row.label, ELEMENTS):
            start = own.casefold().find(row.label)
            quote = own[max(0, start - SHY // 2) : start + SHY // 2].replace("\n", " ")
            advice = "; data.context=false keeps reasons out" if row.reason and row.reason in own else ""
            yield _flaw("label-in-prompt", row, f"the prompt gives {row.label!r} away: “…{quote}…”{advice}")


def _common_lines(rows: list[Row], prompts: dict[str, str]) -> set[str]:
    labels: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for line in set(prompts[row.where].splitlines()):
            labels[line].add(row.label)
    present = {row.label for row in rows}
    return {line for line, under in labels.items() if under == present and len(present) > 1}


def _leaks_kept_out(rows: list[Row]) -> Iterator[Flaw]:
    """What would happen if the reasons went into the prompt."""
    told = [row for row in rows if row.reason]
    leaky = [row for row in told if gives_away(row.reason, row.label, ELEMENTS)]
    if leaky:
        share = f"{len(leaky)} of {len(told)} reasons ({len(leaky) / len(told):.0%}) name the label"
        yield _warning("leaky-reasons", f"{share}; they stay out of the prompt as long as data.context=false")


def _mixtures(rows: list[Row]) -> Iterator[Flaw]:
    """Files stuck together from several sources: a hint that splits and labels may not agree either."""
    for name in sorted({row.file for row in rows}):
        mine = [row for row in rows if row.file == name]
        yield from _mixture("mixed-schemas", mine, lambda row: row.shape, f"{name} holds rows of several shapes")
        found = [row for row in mine if row.base]
        yield from _mixture("mixed-paths", found, lambda row: row.base, f"{name}: paths start from different places")


def _mixture(kind: str, rows: list[Row], key: Callable[[Row], str], message: str) -> Iterator[Flaw]:
    counts = Counter(map(key, rows))
    if len(counts) > 1:
        first = {name: next(row for row in rows if key(row) == name) for name in counts}
        told = ", ".join(
            f"{count} {name} ({first[name].where} {first[name].written!r})" for name, count in counts.items()
        )
        yield _warning(kind, f"{message}: {told}", rows[0].split)


def _missing_classes(rows: list[Row]) -> Iterator[Finding]:
    """Empty splits, and classes that a split lacks."""
    for split in SPLITS:
        counts = Counter(row.label for row in rows if row.split == split)
        absent = [label for label in ELEMENTS if not counts[label]]
        if not counts:
            yield Finding("empty-split", "warning", split, "", f"{split} has no samples")
        elif absent:
            told = ", ".join(f"{label} {counts[label]}" for label in ELEMENTS)
            yield Finding("absent-class", "warning", split, "", f"{split} has no {' and no '.join(absent)} ({told})")
