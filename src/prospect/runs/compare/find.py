"""From the arguments of a command line to the folders that hold, or should hold, a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from glob import glob, has_magic
from pathlib import Path

from prospect.errors import UserError

MARKS = {"run.json", "config.yaml", ".hydra", "metrics.json", "metrics.jsonl"}  # one of them makes a folder a run's


def folders(arguments: list[str]) -> list[Path]:
    """Every run folder below the arguments once, in their order: folders of runs, of sweeps, of days, or patterns."""
    found: dict[Path, Path] = {}
    for argument in arguments:
        for place in _places(argument):
            for folder in _runs(place):
                found.setdefault(folder.resolve(), folder)
    return list(found.values())


def names(folders: list[Path]) -> list[str]:
    """For each the shortest end of its path that no other ends with. A number alone (a job of a sweep) says too little
    and gets its sweep's name."""
    parts = [folder.absolute().parts for folder in folders]
    ends: dict[tuple[str, ...], int] = {}
    for path in parts:
        for start in range(1, len(path)):
            ends[path[start:]] = ends.get(path[start:], 0) + 1
    return ["/".join(_shortest(path, ends)) for path in parts]


def _shortest(path: tuple[str, ...], ends: dict[tuple[str, ...], int]) -> tuple[str, ...]:
    for start in range(len(path) - 1, 0, -1):
        end = path[start:]
        if ends[end] == 1 and not (end[0].isdigit() and len(end) == 1 and start > 1):
            return end
    return path


def _places(argument: str) -> list[Path]:
    """A folder by its name, even if that looks like a pattern; else what the pattern matches."""
    if Path(argument).is_dir():
        return [Path(argument)]
    if has_magic(argument):
        paths = glob(argument, recursive=True)  # noqa: PTH207  as a shell does it: * is no hidden folder
        matched = sorted(path for path in map(Path, paths) if path.is_dir())
        if not matched:
            raise UserError(f"{argument}: no folder matches; give run folders, sweeps, or patterns such as outputs/*")
        return matched
    what = "is a file" if Path(argument).exists() else "there is no such folder"
    raise UserError(f"{argument}: {what}; give run folders, sweeps, or patterns such as outputs/*")


def _runs(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """The folder itself, if anything of a run is in it or nothing lies below it; else what its sub-folders hold."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: _order(entry.name))
    except OSError:  # the index says why
        yield folder
        return
    below = [entry for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    if not below or any(entry.name in MARKS for entry in entries):
        yield folder
        return
    above = above | {folder.resolve()}  # a link to a folder above would never end
    for entry in below:
        if Path(entry.path).resolve() not in above:
            yield from _runs(Path(entry.path), above)


def _order(name: str) -> tuple[int, int, str]:
    """Jobs 2 and 10 of a sweep in the order of their numbers."""
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)
