"""Folders that hold a model: sealed with a manifest when written, verified before they are read."""

from __future__ import annotations

import json
from pathlib import Path

from prospect.disk import digest, sync_to_disk
from prospect.errors import UserError

MANIFEST = "manifest.json"
PARTIAL = ".partial"


def seal(folder: Path) -> None:
    """Write the manifest and force everything to disk. A folder without a manifest counts as incomplete."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    entries = {str(f.relative_to(folder)): {"size": f.stat().st_size, "sha256": digest(f)} for f in files}
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps({"files": entries}, indent=1))
    for path in [*files, manifest, folder]:
        sync_to_disk(path)


def publish(staging: Path, folder: Path) -> None:
    """Seal a staging folder and rename it into place: there is never a half-written `folder`."""
    seal(staging)
    staging.rename(folder)
    sync_to_disk(folder.parent)


def faults(folder: Path) -> list[str]:
    """What is wrong with a sealed folder; nothing when every file is there, of the right size and content."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return [f"{folder.name} has no {MANIFEST}"]
    try:
        entries = json.loads(manifest.read_text())["files"]
    except (ValueError, KeyError, TypeError):
        return [f"{manifest.name} of {folder.name} is damaged"]
    return [fault for name, entry in entries.items() if (fault := _fault(folder / name, entry))]


def _fault(path: Path, entry: dict) -> str | None:
    if not path.is_file():
        return f"{path.name} is missing"
    if path.stat().st_size != entry["size"]:
        return f"{path.name} has {path.stat().st_size} bytes instead of {entry['size']}"
    return None if digest(path) == entry["sha256"] else f"{path.name} has changed since it was written"


def checkpoints(run: Path) -> list[Path]:
    """Checkpoint folders of a run, newest first, complete or not."""
    found = [path for path in (run / "checkpoints").glob("step-*") if path.name.removeprefix("step-").isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")), reverse=True)


def newest(run: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint of a run that verifies, and what was passed over on the way, with the reason."""
    passed: list[str] = []
    for folder in checkpoints(run):
        wrong = faults(folder)
        if not wrong:
            return folder, passed
        passed.append(f"{folder}: {'; '.join(wrong)}")
    return None, passed


def model_folder(path: str | Path) -> Path:
    """A run folder (its best checkpoint, else the newest that verifies), a checkpoint, or any transformers folder."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give a run folder, a checkpoint or a transformers model folder")
    if (folder / "checkpoints").is_dir():
        if chosen := best(folder):
            return chosen
        found, passed = newest(folder)
        if found is None:
            raise UserError(f"{folder} holds no complete checkpoint" + "".join(f"\n  {line}" for line in passed))
        return found
    if (folder / MANIFEST).is_file() and (wrong := faults(folder)):
        raise UserError(f"{folder} is damaged: {'; '.join(wrong)}")
    if not any((folder / name).is_file() for name in ("config.json", "adapter_config.json", "base.json")):
        raise UserError(f"{folder} holds neither config.json nor adapter_config.json: it is no model folder")
    return folder


def best(run: Path) -> Path | None:
    """The checkpoint that the run itself chose (`load_best_model_at_end`), recorded in checkpoints/best.json."""
    record = run / "checkpoints" / "best.json"
    if not record.is_file():
        return None
    folder = run / "checkpoints" / json.loads(record.read_text())["checkpoint"]
    return folder if not faults(folder) else None
