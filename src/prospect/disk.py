"""Files that are either whole or not there, forced to the disk, and known by their content."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path


def write_atomically(path: Path, content: str | bytes, sync: bool = True) -> None:
    """Write beside the target, flush to disk, rename: a reader, or a crash, finds the old file or the new one."""
    staged = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with staged.open("wb") as file:
            # surrogateescape: a diff of a file that is not UTF-8 keeps its very bytes
            file.write(content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape"))
            if sync:
                file.flush()
                os.fsync(file.fileno())
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    if sync:
        sync_to_disk(path.parent)


def sync_to_disk(path: Path) -> None:
    """A file's content, or a folder's entries."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
