"""Modules as text: their top-level names, followed through imports and re-exports. Nothing is imported or run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

DEPTH = 12  # re-exports followed before giving up, so that a circle of imports ends


@dataclass(frozen=True)
class Source:
    """A module as text: its top-level names, and the modules it star-imports."""

    name: str
    file: Path
    names: dict[str, ast.stmt | ast.alias]
    stars: tuple[str, ...]


@cache
def read(module: str) -> Source | None:
    file = _file(module)
    if file is None:
        return None
    names: dict[str, ast.stmt | ast.alias] = {}
    stars: list[str] = []
    for statement in _statements(ast.parse(file.read_text(encoding="utf-8")).body):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names[statement.name] = statement
        elif isinstance(statement, ast.ImportFrom):
            package = module if file.name == "__init__.py" else module.rpartition(".")[0]
            origin = _absolute(statement, package)
            stars += [origin for alias in statement.names if alias.name == "*"]
            for alias in statement.names:
                if not isinstance(names.get(alias.asname or alias.name), ast.ClassDef | ast.FunctionDef):
                    names[alias.asname or alias.name] = ast.alias(f"{origin}.{alias.name}")
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            names.setdefault(statement.targets[0].id, statement)  # `X = None` when an import failed is no definition
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names.setdefault(statement.target.id, statement)
    return Source(module, file, names, tuple(stars))


def _file(module: str) -> Path | None:
    """Only the top-level package is asked of Python's import system: a submodule's spec would run its parents."""
    top, *rest = module.split(".")
    try:
        spec = find_spec(top) if top else None
    except ValueError:  # __main__ has no spec
        return None
    if spec is None:
        return None
    roots = [Path(root) for root in spec.submodule_search_locations or []]
    places = [root.joinpath(*rest) for root in roots]
    files = [file for place in places for file in (place / "__init__.py", place.with_suffix(".py"))]
    if not roots and not rest and spec.origin:
        files = [Path(spec.origin)]
    return next((file for file in files if file.suffix == ".py" and file.is_file()), None)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Top level, the branches of `if TYPE_CHECKING:` and `try:` included: lazy packages declare their names there."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With):
            for branch in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(statement, branch, []))
            for handler in getattr(statement, "handlers", []):
                yield from _statements(handler.body)


def _absolute(statement: ast.ImportFrom, package: str) -> str:
    if not statement.level:
        return statement.module or ""
    base = package.split(".")[: len(package.split(".")) - statement.level + 1]
    return ".".join([*base, *filter(None, [statement.module])])


def find(source: Source, name: str, depth: int = DEPTH) -> tuple[Source, ast.stmt] | None:
    """The definition behind a name and the module it stands in, through any re-exports."""
    found = source.names.get(name)
    if isinstance(found, ast.stmt):
        return source, found
    ways = [found.name] if found else [f"{star}.{name}" for star in source.stars]
    return next(filter(None, (find_dotted(way, depth - 1) for way in ways)), None)


def find_dotted(path: str, depth: int = DEPTH) -> tuple[Source, ast.stmt] | None:
    module, _, name = path.rpartition(".")
    source = read(module) if module and depth else None
    return find(source, name, depth) if source else None


def public(source: Source) -> list[str]:
    kinds = ast.FunctionDef | ast.ClassDef | ast.alias
    return [name for name, found in source.names.items() if isinstance(found, kinds) and not name.startswith("_")]


def neighbours(target: str) -> list[str]:
    """Where a module does not exist: the target with that part replaced by what lies in its place."""
    parts = target.split(".")
    good = next(n for n in range(len(parts), -1, -1) if n == 0 or _file(".".join(parts[:n])))
    file = _file(".".join(parts[:good])) if good else None
    if file is None or file.name != "__init__.py":
        return []
    here = {child.stem for child in file.parent.iterdir() if child.suffix == ".py" or (child / "__init__.py").is_file()}
    places = [".".join([*parts[:good], child]) for child in sorted(here - {"__init__"})]
    whole = [f"{place}.{'.'.join(parts[good + 1 :])}" for place in places]
    return [path for path in whole if find_dotted(path)] or places
