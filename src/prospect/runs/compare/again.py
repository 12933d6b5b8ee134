"""`--rerun`: all that it takes to do a run again, as lines for a shell."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from prospect.errors import UserError
from prospect.runs import provenance
from prospect.runs.compare.reading import Unreadable
from prospect.runs.compare.rerun import command, secrets
from prospect.runs.redact import redact_known


def again(folder: Path, facts: dict[str, Any]) -> str:
    """Comments, then commands. What cannot be had back (a secret, untracked files) is said."""
    line = command(folder, facts)
    if line is None:
        raise UserError(f"{folder}: .hydra/overrides.yaml cannot be read, which says how the run was started")
    comments = [
        f"run     {folder}  ({facts['state']})",
        f"config  {folder / 'config.yaml'}",
        f"commit  {_commit(facts)}",
        *([f"data    sha256 {facts['data']['sha256']}"] if (facts.get("data") or {}).get("sha256") else []),
        *_warnings(folder, facts),
    ]
    commands = [*([f"cd {shlex.quote(facts['cwd'])}"] if facts.get("cwd") else []), *_code(folder, facts), line]
    return "\n".join([*(f"# {comment}" for comment in comments), *commands])


def _commit(facts: dict[str, Any]) -> str:
    git = facts["git"]
    if not git or not git.get("commit"):
        return "unknown: the code was in no git repository"
    return f"{git['commit']}  ({'with changes' if git.get('dirty') else 'clean'})"


def _warnings(folder: Path, facts: dict[str, Any]) -> list[str]:
    git, here = facts["git"] or {}, provenance.git() or {}
    cut = "\n# cut: " in _changes(folder)
    return [
        *([f"{git['untracked']} files were not tracked: their content is not kept"] if git.get("untracked") else []),
        *(["git.diff was too long and is cut: the changes are not kept whole"] if cut else []),
        *(["this code has changes that the run had not"] if here.get("dirty") and not git.get("dirty") else []),
        *(f"give {key} again: secrets are not kept" for key in _secrets(folder)),
    ]


def _secrets(folder: Path) -> list[str]:
    try:
        return secrets(folder)
    except Unreadable:
        return []


def _code(folder: Path, facts: dict[str, Any]) -> list[str]:
    """Nothing where this code is what the run had, changes included."""
    commit, here = (facts["git"] or {}).get("commit"), (provenance.git() or {}).get("commit")
    if commit == here and _changes(folder) == redact_known(provenance.diff()):
        return []
    checkout = [f"git checkout {commit}"] if commit and commit != here else []
    patch = [f"git apply {shlex.quote(str((folder / 'git.diff').absolute()))}"] if _changes(folder) else []
    return [*checkout, *patch]


def _changes(folder: Path) -> str:
    """What differed from the commit; "" where nothing did."""
    file = folder / "git.diff"
    return file.read_text("utf-8", "surrogateescape") if file.is_file() else ""
