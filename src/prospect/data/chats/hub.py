"""Rows that `datasets` keeps: a folder that it saved, or a data set of the hub. Imported when one is met."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import datasets
from huggingface_hub import HfApi
from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

from prospect.data.chats.entry import Entry
from prospect.data.splits import ALIASES
from prospect.errors import UserError

Table: TypeAlias = datasets.Dataset | datasets.IterableDataset
Loaded: TypeAlias = Table | datasets.DatasetDict | datasets.IterableDatasetDict
ANSWER_SECONDS = 3  # without a limit of our own, a network that swallows packets would hang for minutes


def saved(folder: Path, take: int | None = None) -> Iterator[Entry]:
    yield from _rows(datasets.load_from_disk(str(folder)), folder, f"path={folder}", take=take)


def published(
    name: str, subset: str | None, expression: str | None, key: str, take: int | None = None
) -> Iterator[Entry]:
    """The rows of a data set of the hub, or of one expression such as train[:5%]; downloads what is missing.

    With `take` they are streamed: no more is downloaded than what the first so many rows of each split lie in.
    """
    if not re.fullmatch(r"([\w.-]+/)?[\w.-]+", name):
        raise UserError(f"{key}={name}: there is no such file or folder, and it is no hub name (OWNER/NAME) either")
    silence = _silence(name)
    streams = take is not None and not silence and (expression is None or expression.isidentifier())
    try:
        only_cache = datasets.DownloadConfig(local_files_only=True) if silence else None
        loaded = datasets.load_dataset(name, subset, split=expression, download_config=only_cache, streaming=streams)
    except (OSError, HTTPError) as error:
        raise UserError(
            f"{key}={name}: there is no such file or folder here, and the hub did not give it "
            f"({silence or _first_line(error)}). Either give a hub name while the hub can be reached, or a local "
            f"folder: `hf download --repo-type dataset {name} --local-dir FOLDER` on a machine with a connection, "
            f"then {key}=FOLDER"
        ) from error
    except ValueError as error:  # no such split, or a subset must be named
        raise UserError(f"{key}={name}: {_first_line(error)} (see data.subset and data.split)") from error
    yield from _rows(loaded, Path.cwd(), f"{key}={name}", expression, take)


def _rows(
    loaded: Loaded, folder: Path, told: str, expression: str | None = None, take: int | None = None
) -> Iterator[Entry]:
    """As they are stored, pictures still encoded."""
    tables = dict(loaded) if isinstance(loaded, dict) else {expression or "": loaded}
    if expression is None and (unknown := [name for name in tables if name and str(name) not in ALIASES]):
        raise UserError(
            f"{told} has the splits {', '.join(map(str, tables))}; {unknown[0]} is none of {', '.join(ALIASES)}: "
            "say which rows to learn from, such as data.split=" + str(next(iter(tables)))
        )
    for name, table in tables.items():
        for index, row in enumerate(islice(_encoded(table), take)):
            yield Entry(f"{name or 'table'}[{index}]", "" if expression else str(name), row, folder)


def _encoded(table: Table) -> Iterator[dict[str, Any]]:
    for batch in table.with_format("arrow").iter(256):
        yield from batch.to_pylist()


def _silence(name: str) -> str | None:
    """Why the hub cannot be asked about this name now; None when it answers."""
    try:
        HfApi().dataset_info(name, timeout=ANSWER_SECONDS)
    except OfflineModeIsEnabled:
        return "HF_HUB_OFFLINE is set, and it is not in the cache"
    except (OSError, HTTPError) as error:
        return _first_line(error)
    return None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
