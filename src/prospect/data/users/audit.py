"""What is wrong with users' conversations: every check yields findings, and names the rows that cannot be used."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Literal

from PIL import Image

from prospect.conversation.sample import Picture, Turn
from prospect.data.element.audit import BROKEN
from prospect.data.findings import Finding
from prospect.data.splits import SPLITS
from prospect.data.users.ranges import told
from prospect.data.users.rows import Row

Digests = dict[Path | bytes, str]  # of pictures, by what they are read from
QUOTED = 60  # characters of a text in a finding


def audit(rows: Sequence[Row], split_of: Mapping[int, str]) -> tuple[list[Row], Digests, list[Finding]]:
    """The usable rows, the sha256 of every picture, and all that was found."""
    digests, broken = decoded(row.pictures for row in rows)
    findings, kept = [], []
    taken: dict[str, str] = {}
    for row in rows:
        faults = [broken[source] for source in sources(row.pictures) if source in broken]
        if row.id in taken:
            findings.append(
                _finding("duplicate-id", "error", row, split_of, f"{taken[row.id]} has the id {row.id} too")
            )
        elif faults:
            findings += [_finding("unreadable-picture", "error", row, split_of, fault) for fault in faults]
        else:
            kept.append(row)
        taken.setdefault(row.id, row.where)
    findings += [*_contradictions(kept, digests, split_of), *_overlaps(kept, digests, split_of)]
    return kept, digests, findings


def _finding(
    kind: str, severity: Literal["error", "warning"], row: Row, split_of: Mapping[int, str], message: str
) -> Finding:
    return Finding(kind, severity, split_of.get(row.user, ""), row.id, f"{row.where}: {message}")


def sources(pictures: Iterable[Picture]) -> list[Path | bytes]:
    return [picture.source for picture in pictures if isinstance(picture.source, Path | bytes)]


def decoded(albums: Iterable[Iterable[Picture]]) -> tuple[Digests, dict[Path | bytes, str]]:
    """Decodes every picture once: a header alone does not show that a file was cut short."""
    each = list(dict.fromkeys(source for pictures in albums for source in sources(pictures)))
    with ThreadPoolExecutor() as pool:  # decoding releases the interpreter lock
        seen = list(zip(each, pool.map(_decoded, each), strict=True))
    return {source: digest for source, (digest, _) in seen}, {source: fault for source, (_, fault) in seen if fault}


def _decoded(source: Path | bytes) -> tuple[str, str]:
    """sha256 of the picture's bytes, and what is wrong with it."""
    raw = source.read_bytes() if isinstance(source, Path) else source
    fault = ""
    try:
        with Image.open(BytesIO(raw)) as picture:
            picture.convert("RGB")
    except BROKEN as error:
        fault = f"the picture {Picture(source).name} cannot be decoded: {error}"
    return hashlib.sha256(raw).hexdigest(), fault


def shown(turns: Sequence[Turn], digests: Digests) -> tuple[tuple[str, ...], ...]:
    """What a conversation shows and says, pictures by their content, to be compared with others."""
    return tuple(
        (turn.role, *(digests[part.source] if isinstance(part, Picture) else str(part) for part in turn.parts))  # type: ignore[index]
        for turn in turns
    )


def _contradictions(rows: Sequence[Row], digests: Digests, split_of: Mapping[int, str]) -> Iterator[Finding]:
    """One user, asked the same with the same before their eyes, and different answers: nobody can get both right."""
    asked: dict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        asked[row.user, shown(row.turns[:-1], digests)].append(row)
    for group in asked.values():
        answers = Counter(row.turns[-1].text.strip() for row in group)
        if len(answers) > 1:
            said = ", ".join(f"{row.where} {row.turns[-1].text.strip()[:QUOTED]!r}" for row in group[:4])
            yield _finding(
                "contradiction", "warning", group[0], split_of, f"asked the same, answered otherwise: {said}"
            )


def _overlaps(rows: Sequence[Row], digests: Digests, split_of: Mapping[int, str]) -> Iterator[Finding]:
    """Whole conversations of a held-out user that a user of another split has word for word, pictures included."""
    places: dict[tuple, dict[str, Row]] = defaultdict(dict)
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], tuple[Row, Row]] = {}
    for row in rows:
        if row.pictures:  # words alone may well be the same
            places[shown(row.turns, digests)].setdefault(split_of.get(row.user, ""), row)
    for group in places.values():
        there = [split for split in SPLITS if split in group]
        for earlier, later in pairwise(there):
            counts[earlier, later] += 1
            first.setdefault((earlier, later), (group[earlier], group[later]))
    for (earlier, later), count in counts.items():
        one, other = first[earlier, later]
        message = f"{count} conversations of {later} are in {earlier} too, such as {one.where} and {other.where}"
        yield Finding("overlap", "warning", later, "", message)


def without_files(split_of: Mapping[int, str], there: set[int]) -> Iterator[Finding]:
    """Users of a split of whom there is no file, and files of users that no split has."""
    for split in SPLITS:
        users = {user for user, name in split_of.items() if name == split}
        if not users & there:
            yield Finding("empty-split", "warning", split, "", f"{split} has no users: {told(users)} have no file")
        elif users - there:
            yield Finding("missing-user", "warning", split, "", f"{split}: no file of user {told(users - there)}")
    if strangers := there - split_of.keys():
        yield Finding("unassigned-user", "warning", "", "", f"user {told(strangers)} is in no split and not read")
