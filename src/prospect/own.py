"""A function of the user's own, written FILE.py:FUNCTION: found, imported, and known by the hash of its file."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prospect.errors import UserError

_PREFIX = "own_"  # of the modules' names: no file of a user's hides a module of somebody else's


@dataclass(frozen=True)
class Own:
    """`sha256` is that of the whole file."""

    name: str
    sha256: str
    function: Callable[..., Any]


def is_own(written: str) -> bool:
    """Whether a file is meant, so that a misspelt one is told from a name."""
    return ".py" in written or ":" in written or "/" in written


def own(written: str, key: str) -> Own:
    """`key` is where it is written, for messages."""
    file, colon, name = written.rpartition(":")
    if not colon or not file.endswith(".py"):
        raise UserError(f"{key}={written}: write FILE.py:FUNCTION")
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise UserError(f"{key}={written}: there is no file {path}")
    content = path.read_bytes()
    there = vars(_imported(path, f"{key}={written}"))
    function = there.get(name)
    if not inspect.isfunction(function):
        raise UserError(f"{key}={written}: {path.name} has no function {name}{_others(there)}")
    return Own(name, hashlib.sha256(content).hexdigest(), function)


def check_call(function: Callable[..., Any], told: str, *args: Any, **named: Any) -> None:
    """UserError where a function cannot be called so; `told` says how it is called, and by which key."""
    try:
        inspect.signature(function).bind(*args, **named)
    except TypeError as error:
        raise UserError(f"{told} ({function.__name__}{inspect.signature(function)}: {error})") from error


def line_of(error: BaseException) -> str:
    """The innermost line of the user's own file."""
    trace = error.__traceback__
    numbers = []
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").startswith(_PREFIX):
            numbers.append(trace.tb_lineno)
        trace = trace.tb_next
    return str(numbers[-1]) if numbers else "unknown"


def _imported(path: Path, told: str) -> Any:
    name = f"{_PREFIX}{hashlib.sha256(str(path).encode()).hexdigest()[:12]}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "a file that ends in .py has a loader"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UserError(f"{told}: {path} fails when imported: {type(error).__name__}: {error}") from error
    return module


def _others(there: dict[str, Any]) -> str:
    mine = [n for n, f in there.items() if inspect.isfunction(f) and f.__module__ == there["__name__"]]
    return f"; it has {', '.join(mine)}" if mine else ""
