"""`resume=DIR`: the command line of a run that is over, and what may differ from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf

from prospect.errors import UserError
from prospect.runs import claim
from prospect.runs.redact import HIDDEN, redacted

FREE = {  # what changes neither the samples nor the updates that are still to come
    "resume",
    *(f"trainer.args.{name}" for name in ("logging_steps", "save_steps", "eval_steps", "save_total_limit")),
    *(f"trainer.args.{name}" for name in ("dataloader_num_workers", "max_steps")),
}
ABSENT = object()


def asked(lines: list[str], key: str = "resume") -> Path | None:
    """The folder of `resume=DIR`, or of another such key, if one is given."""
    folder = None
    for line in lines:
        if key_of(line) == key:
            try:
                value = OverridesParser.create().parse_override(line).value()
            except HydraException:
                continue  # a syntax error; the check tells it with all the others
            folder = Path(value).absolute() if isinstance(value, str) else None
    return folder


def resumed(folder: Path, lines: list[str], is_main: bool) -> list[str]:
    """The overrides of the run in the folder, then the new ones, back into the same folder."""
    if is_main:  # another rank may come when rank 0 has the folder already
        claim.check(folder, resume=True)
    old = _old_lines(folder)
    keys = {key_of(line) for line in lines}
    if "hydra.run.dir" in keys:
        raise UserError("resume=DIR goes on in DIR itself: leave out hydra.run.dir")
    lost = [key_of(line) for line in old if HIDDEN in line and key_of(line) not in keys]
    if lost:
        raise UserError(f"resume={folder}: give {', '.join(lost)} again, secrets are not kept in run folders")
    kept = [line for line in old if HIDDEN not in line]
    new = [line for line in lines if key_of(line) != "resume"]
    place = quoted(folder)
    return [*kept, *new, f"resume={place}", f"hydra.run.dir={place}", "hydra.output_subdir=null"]


def settings(folder: Path) -> list[str]:
    """The overrides that a run was started with, without those that say where it was to lie."""
    if not (folder / claim.FILE).is_file():
        raise UserError(f"run={folder}: no run folder (no {claim.FILE} there)")
    return [line for line in _old_lines(folder) if not key_of(line).startswith("hydra") and HIDDEN not in line]


def _old_lines(folder: Path) -> list[str]:
    file = folder / ".hydra" / "overrides.yaml"
    if not file.is_file():
        raise UserError(f"resume={folder}: {file} is missing, which says how the run was started")
    lines = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    assert isinstance(lines, list)
    return [str(line) for line in lines if key_of(str(line)) != "resume"]


def compare(folder: Path, config: dict[str, Any]) -> list[str]:
    """What differs from the run so far, as `key: was -> now`. Refuses what would make it another run."""
    file = folder / "config.yaml"
    if not file.is_file():  # killed before its first second was over: there is nothing to differ from
        return []
    was = _flat(OmegaConf.to_container(OmegaConf.load(file), resolve=False))
    now = _flat(redacted(config))
    changed = [key for key in {**was, **now} if was.get(key, ABSENT) != now.get(key, ABSENT)]
    told = {key: f"{key}: {_shown(was.get(key, ABSENT))} -> {_shown(now.get(key, ABSENT))}" for key in changed}
    refused = [line for key, line in told.items() if key not in FREE]
    if refused:
        lines = "\n  ".join(refused)
        raise UserError(f"resume={folder}: this would be another run, start it without resume=\n  {lines}")
    return [line for key, line in told.items() if key != "resume"]


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or (path and not value):
        return {path: value}
    return {
        k: v for name, inner in value.items() for k, v in _flat(inner, f"{path}.{name}" if path else str(name)).items()
    }


def quoted(folder: Path) -> str:
    """As a value in an override, whatever blanks, commas and quotes the path has."""
    return QuotedString(str(folder), Quote.single).with_quotes()


def key_of(line: str) -> str:
    return line.partition("=")[0].lstrip("+~")


def _shown(value: Any) -> str:
    return "(absent)" if value is ABSENT else "null" if value is None else str(value)
