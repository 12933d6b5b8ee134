"""Where data that the program makes itself is kept: built once, complete or not there at all."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from prospect.errors import UserError

SETTINGS = "settings.json"  # what a built folder was built from


def cache_root() -> Path:
    """`PROSPECT_CACHE`, or `~/.cache/prospect`."""
    return Path(os.environ.get("PROSPECT_CACHE") or Path.home() / ".cache" / "prospect").expanduser()


def cached(name: str, settings: dict[str, Any], build: Callable[[Path], None]) -> Path:
    """The folder built from these settings, building it on the first call."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    return built(cache_root() / f"{name}-{digest}", settings, build)


def kept(name: str, folder: str | None, settings: dict[str, Any], build: Callable[[Path], None]) -> Path:
    """What a program draws of a data set: in the folder that the user names, or in one of the cache."""
    if folder is None:
        return cached(name, settings, build)
    return built(Path(folder).expanduser().resolve(), settings, build)


def kept_splits(
    name: str,
    folder: str | None,
    write: Callable[..., None],
    generator: int,
    counts: Mapping[str, int],
    size: int,
    seed: int,
    smallest: int,
) -> Path:
    """Splits of so many samples with pictures of one size, of which `write` makes a folder."""
    settings = {**counts, "size": size, "seed": seed}
    at_least(settings, train=1, val=0, test=0, size=smallest)
    draw = partial(write, counts=counts, size=size, seed=seed)
    return kept(name, folder, {**settings, "generator": generator}, draw)


def at_least(settings: Mapping[str, Any], **least: int) -> None:
    for key, smallest in least.items():
        if settings[key] < smallest:
            raise UserError(f"data.{key}={settings[key]}: must be at least {smallest}")


def built(folder: Path, settings: dict[str, Any], build: Callable[[Path], None]) -> Path:
    """`folder` with what `build` makes of the settings. A folder that holds anything else is left untouched."""
    if not _holds(folder, settings):
        _build_aside(folder, settings, build)
    return folder


def _holds(folder: Path, settings: dict[str, Any]) -> bool:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    note = folder / SETTINGS
    if not note.is_file():
        raise UserError(f"{folder} exists and was not made here: name a folder that is new or empty")
    if json.loads(note.read_text(encoding="utf-8")) != settings:
        raise UserError(
            f"{folder} holds data made with other settings ({note}): name another folder or delete this one"
        )
    return True


def _build_aside(folder: Path, settings: dict[str, Any], build: Callable[[Path], None]) -> None:
    """Parallel starts each build aside; the first rename wins and the others take its result."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = folder.with_name(f".{folder.name}-{os.getpid()}-{secrets.token_hex(4)}")
    staging.mkdir()
    try:
        build(staging)
        (staging / SETTINGS).write_text(json.dumps(settings, sort_keys=True), encoding="utf-8")
        staging.rename(folder)
    except OSError:
        if not _holds(folder, settings):
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
