"""A function of the user's own that brings a row into a known shape: `data.map=file.py:function`."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from prospect.data.element.rows import Fault
from prospect.own import check_call, line_of, own

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
            raise Fault(
                "map-failed", f"{self.name}: {type(error).__name__}: {error} (line {line_of(error)})"
            ) from error
        if given is not None and not isinstance(given, Mapping):
            raise Fault("map-failed", f"{self.name} gave a {type(given).__name__}, not a row (a dict) or None")
        return None if given is None else {key: _encoded(value) for key, value in given.items()}


def own_map(written: str) -> OwnMap:
    """Found and checked before anything is read."""
    found = own(written, "data.map")
    check_call(found.function, f"data.map={written}: {found.name} is called with one row and nothing else", {})
    return OwnMap(found.name, found.sha256, found.function)


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
