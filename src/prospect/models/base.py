"""What a LoRA adapter stands on. An adapter on other weights than its own gives wrong answers without any error."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from prospect.disk import digest
from prospect.errors import UserError
from prospect.models.hub import fetched

RECORD = "base.json"
UNNAMED = "default"  # PEFT's name for an adapter that the user gave none
INSIDE = "base"  # a base that exists nowhere on disk travels with the adapter, in this folder


@dataclass(frozen=True)
class Base:
    """Where the weights under an adapter come from.

    `source` is what the user named; without one the weights exist nowhere else, so they travel with the adapter.
    `four_bit`: the type that is computed in, where the adapter has learnt on weights of four bits.
    """

    source: str | None = None
    folder: Path | None = None
    sha256: str | None = None
    four_bit: str | None = None

    def hashed(self) -> Base:
        return replace(self, sha256=weights_hash(self.folder)) if self.folder else self

    def write(self, adapter: Path, in_use: str) -> None:
        """`in_use`: the name of the adapter that is, of all in the folder."""
        record = {"source": self.source, "folder": str(self.folder), "sha256": self.sha256, "in_use": in_use}
        record |= {"four_bit": self.four_bit} if self.four_bit else {}
        (adapter / RECORD).write_text(json.dumps(record, indent=2) + "\n")


def base_inside(adapter: Path) -> Base:
    """The record of a base that was just written into the adapter's own folder."""
    return Base(folder=Path(INSIDE), sha256=weights_hash(adapter / INSIDE))


def base_of(adapter: Path) -> Base:
    """The recorded base of an adapter, found and verified."""
    path = adapter / RECORD
    if not path.is_file():
        raise UserError(
            f"{adapter} is an adapter without {RECORD}, so it isn't known which weights it belongs to; "
            "merge it into its base with PEFT and give the merged folder"
        )
    record = json.loads(path.read_text())
    folder = _located(adapter, record)
    if weights_hash(folder) != record["sha256"]:
        raise UserError(
            f"{adapter}: its base {folder} has changed since the adapter was trained (other weights); "
            f"bring the old base back, or put its new place into {path}"
        )
    return Base(record["source"], folder, record["sha256"], record.get("four_bit"))


def adapters_in(folder: Path) -> dict[str, Path]:
    """The adapters of a folder by name: one without a name lies in the folder itself, each other one in its own."""
    found = [path.parent for path in sorted(folder.glob("*/adapter_config.json"))]
    unnamed = {UNNAMED: folder} if (folder / "adapter_config.json").is_file() else {}
    return unnamed | {path.name: path for path in found}


def in_use(folder: Path) -> str:
    """The adapter that was in use when the folder was written; the only one, where no record says so."""
    return json.loads((folder / RECORD).read_text()).get("in_use", UNNAMED)


def _located(adapter: Path, record: dict) -> Path:
    folder = adapter / record["folder"]  # an absolute path stays as it is
    if folder.is_dir():
        return folder
    if record["source"] is None:
        raise UserError(f"{adapter}: its base {folder} is gone; bring it back, or put its new place into {RECORD}")
    return fetched(record["source"], key=f"the base of the adapter {adapter}")


def weights_hash(folder: Path) -> str:
    """One hash over all weight files of a folder, by name and content."""
    files = sorted(folder.glob("*.safetensors"))
    return hashlib.sha256("".join(f"{file.name} {digest(file)}\n" for file in files).encode()).hexdigest()
