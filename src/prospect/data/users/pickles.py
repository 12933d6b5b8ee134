"""`python -m prospect.data.users.pickles FOLDER OUT`: published pickles of users as JSON lines. Nothing of them is run.

A pickle is a program, and loading one the usual way runs whatever its author put in. Here every name that a pickle
asks for is refused, but for the few in HARMLESS, which stand-ins of ours answer: plain containers, paths as texts,
pictures as their bare pixels. `user_7.pkl` holds a list of rows, or {"samples": [rows]}; a row is what rows.py
reads, with pictures inside as PIL images or bytes.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from pickle import Unpickler, UnpicklingError
from typing import Any

from PIL import Image

from prospect.data.png import png
from prospect.data.users.rows import PICKLES, user_of
from prospect.errors import UserError

LISTS = ("samples", "data", "rows")  # under which of these a pickled dict keeps its rows
MODES = ("RGB", "RGBA", "L", "LA", "1", "P")
LARGEST = 100_000_000  # pixels of one picture
DEEPEST = 20  # how deep lists and dicts may be nested; a list that holds itself has no end


class Pixels:
    """What a pickled PIL image is made of. Pillow's own classes are never touched."""

    def __init__(self) -> None:
        self.image: Image.Image | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, list | tuple) or len(state) < 5:
            raise UnpicklingError("a picture that is not stored as Pillow does")
        _, mode, size, palette, data = state[:5]
        sound = mode in MODES and isinstance(data, bytes) and isinstance(size, tuple) and len(size) == 2
        if not sound or not all(isinstance(edge, int) and edge > 0 for edge in size) or size[0] * size[1] > LARGEST:
            raise UnpicklingError(f"a picture of mode {mode!r:.20} and size {size!r:.40}, which cannot be read here")
        self.image = Image.frombytes(mode, size, data)
        if mode == "P":
            self.image.putpalette(palette)


def _ordered(*pairs: Any) -> dict:
    return dict(*pairs)


def _reconstructed(kind: Any, base: Any, state: Any) -> Any:
    """How protocols 0 and 1 begin an object."""
    if kind is not Pixels or base is not _nothing or state is not None:
        raise UnpicklingError("an object that is no picture")
    return Pixels()


def _nothing() -> None:
    """Stands for `object`."""


def _path(*parts: Any) -> str:
    return "/".join(str(part) for part in parts).replace("//", "/")


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    """How protocols 0 to 2 write bytes."""
    if encoding != "latin1":
        raise UnpicklingError(f"bytes in the encoding {encoding!r:.20}")
    return text.encode("latin1")


def _bytes(*nothing: Any) -> bytes:
    if nothing:
        raise UnpicklingError("bytes made from something")
    return b""


_IMAGES = ("Image", "PngImagePlugin", "JpegImagePlugin", "WebPImagePlugin", "BmpImagePlugin", "GifImagePlugin")
HARMLESS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _ordered,
    ("_codecs", "encode"): _encoded,
    ("copy_reg", "_reconstructor"): _reconstructed,
    ("copyreg", "_reconstructor"): _reconstructed,
    ("__builtin__", "object"): _nothing,
    ("builtins", "object"): _nothing,
    ("builtins", "bytes"): _bytes,
    ("__builtin__", "bytes"): _bytes,
    ("pathlib", "PosixPath"): _path,
    ("pathlib", "PurePosixPath"): _path,
    ("pathlib", "Path"): _path,
    ("pathlib._local", "PosixPath"): _path,
    ("PIL.Image", "Image"): Pixels,
    **{(f"PIL.{module}", f"{module.removesuffix('Plugin')}File"): Pixels for module in _IMAGES[1:]},
}


class Harmless(Unpickler):
    """Knows the names in HARMLESS and no others, persistent ids and extensions included."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in HARMLESS:
            raise UnpicklingError(
                f"it asks for {module}.{name}, which is none of the plain things that data is made of"
            )
        return HARMLESS[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise UnpicklingError("it refers to something outside of itself")


def read(path: Path) -> Any:
    """What a pickle holds, without running any of it."""
    try:
        return Harmless(io.BytesIO(path.read_bytes())).load()
    except (
        UnpicklingError,
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        MemoryError,
    ) as error:
        raise UserError(f"{path} is not read: {error or type(error).__name__}") from error


def convert(folder: Path, out: Path) -> int:
    """Writes `user_7.jsonl` and `images/` for every pickle of a user. The number of users."""
    files = {user: path for path in _pickles(folder) if (user := user_of(path.stem)) is not None}
    if not files:
        raise UserError(f"{folder}: no pickle of any user in it, such as user_7.pkl")
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty: name a new folder")
    entries = {user: _rows(read(path), path) for user, path in files.items()}  # all are sound before one is written
    (out / "images").mkdir(parents=True)
    for user, rows in entries.items():
        lines = [json.dumps(_plain(row, out, f"{user}_{n:05d}", files[user])) + "\n" for n, row in enumerate(rows)]
        (out / f"user_{user}.jsonl").write_text("".join(lines), encoding="utf-8")
    return len(entries)


def _pickles(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder")
    return (path for path in sorted(folder.iterdir()) if path.suffix in PICKLES)


def _rows(found: Any, path: Path) -> list[Any]:
    if isinstance(found, Mapping):
        found = next((found[key] for key in LISTS if key in found), None)
    if not isinstance(found, list | tuple):
        raise UserError(f"{path} holds no list of rows, and no dict with one under {', '.join(LISTS)}")
    return list(found)


def _plain(value: Any, out: Path, name: str, source: Path) -> Any:
    """The same as JSON can say it; pictures become files, and stand there by their paths. `name` grows with depth."""
    if name.count("_") > DEEPEST:
        raise UserError(f"{source}: a row is nested more than {DEEPEST} deep")
    if isinstance(value, Pixels | bytes):
        return _stored(value, out, name, source)
    if isinstance(value, Mapping):
        if set(value) <= {"bytes", "path"} and isinstance(value.get("bytes"), bytes):  # as `datasets` keeps a picture
            return _stored(value["bytes"], out, name, source)
        return {str(key): _plain(item, out, f"{name}_{n}", source) for n, (key, item) in enumerate(value.items())}
    if isinstance(value, list | tuple):
        return [_plain(item, out, f"{name}_{n}", source) for n, item in enumerate(value)]
    if value is None or isinstance(value, str | int | float):
        return value
    raise UserError(f"{source} holds a {type(value).__name__} where texts, numbers and pictures are expected")


def _stored(picture: Pixels | bytes, out: Path, name: str, source: Path) -> str:
    file = out / "images" / f"{name}.png"
    if isinstance(picture, bytes):
        try:
            with Image.open(io.BytesIO(picture)) as opened:
                image = opened.convert("RGB")
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise UserError(f"{source} holds bytes that are no picture ({name}): {error}") from error
    else:
        if picture.image is None:
            raise UserError(f"{source} holds a picture without pixels ({name})")
        image = picture.image.convert("RGB")
    file.write_bytes(png(image))
    return f"images/{file.name}"


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m prospect.data.users.pickles", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("folder", type=Path, help="where user_7.pkl and the others lie")
    parser.add_argument("out", type=Path, help="a new folder for user_7.jsonl and images/")
    asked = parser.parse_args(words)
    try:
        count = convert(asked.folder.expanduser(), asked.out.expanduser())
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{count} users in {asked.out}; read them with data=users data.folder={asked.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
