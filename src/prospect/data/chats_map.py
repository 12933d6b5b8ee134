"""A function of the user's own that brings a row into a known shape: `data.map=file.py:function`."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from prospect.data.element_rows import Fault
from prospect.errors import UserError

Row = dict[str, Any]
PICTURES = ("image", "images")


@dataclass(frozen=True)
class OwnMap:
    """row → row, or None to leave the row out. `sha256` is that of the whole file."""

    name: str
    sha256: str
    function: Callable[[Row], Row | None]

    def __call__(self, row: Any) -> Row | None:
        """A Fault where the function fails or gives something else. Pictures of tables are handed over decoded."""
        if not isinstance(row, dict):
            raise Fault("unknown-schema", f"is a {type(row).__name__}, and {self.name} takes a row of columns")
        try:
            given = self.function({key: _decoded(value) for key, value in row.items()})
        except Exception as error:
            raise Fault("map-failed", f"{self.name}: {type(error).__name__}: {error} (line {_line(error)})") from error
        if given is not None and not isinstance(given, Mapping):
            raise Fault("map-failed", f"{self.name} gave a {type(given).__name__}, not a row (a dict) or None")
        return None if given is None else {key: _encoded(value) for key, value in given.items()}


def own_map(written: str) -> OwnMap:
    """Found and checked before anything is read."""
    file, colon, name = written.rpartition(":")
    if not colon or not file.endswith(".py"):
        raise UserError(f"data.map={written}: write FILE.py:FUNCTION")
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise UserError(f"data.map={written}: there is no file {path}")
    function = vars(_imported(path, written)).get(name)
    if not inspect.isfunction(function):
        raise UserError(f"data.map={written}: {path.name} has no function {name}{_others(path, written)}")
    _check_signature(function, written)
    return OwnMap(name, hashlib.sha256(path.read_bytes()).hexdigest(), function)


def _imported(path: Path, written: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"own_map_{path.stem}", path)
    assert spec is not None, "a file that ends in .py has a loader"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"data.map={written}: {path} fails when imported: {type(error).__name__}: {error}") from error
    return module


def _others(path: Path, written: str) -> str:
    module = _imported(path, written)
    own = [n for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__]
    return f"; it has {', '.join(own)}" if own else ""


def _check_signature(function: Callable[..., Any], written: str) -> None:
    try:
        inspect.signature(function).bind({})
    except TypeError as error:
        told = f"{function.__name__}{inspect.signature(function)}"
        raise UserError(f"data.map={written}: {told} is called with one row and nothing else ({error})") from error


def _line(error: Exception) -> str:
    """The innermost line of the user's own file."""
    trace = error.__traceback__
    numbers = []
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").startswith("own_map_"):
            numbers.append(trace.tb_lineno)
        trace = trace.tb_next
    return str(numbers[-1]) if numbers else "unknown"


def _decoded(value: Any) -> Any:
    """What tables keep of a picture as the picture. One of broken bytes stays as it is, and the audit finds it."""
    if isinstance(value, list):
        return [_decoded(each) for each in value]
    if not isinstance(value, dict) or value.keys() != {"bytes", "path"} or value["bytes"] is None:
        return value
    try:
        return Image.open(io.BytesIO(value["bytes"]))
    except OSError:
        return value


def _encoded(value: Any) -> Any:
    """Pictures as files again, without loss: a row is kept as what it is read from."""
    if isinstance(value, list | tuple):
        return [_encoded(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _encoded(each) for key, each in value.items()}
    if not isinstance(value, Image.Image):
        return value
    file = io.BytesIO()
    (value if value.mode in ("RGB", "L", "RGBA", "P", "1") else value.convert("RGB")).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}
