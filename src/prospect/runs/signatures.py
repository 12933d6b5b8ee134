"""The signature of a dotted target, read from its source: nothing is imported, so a check costs milliseconds."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from prospect.runs.annotations import ANYTHING, NOTHING, OBJECT, Choice, Kind, Plain, Several, either
from prospect.runs.sources import DEPTH, Source, find, find_dotted, neighbours, public, read


@dataclass(frozen=True)
class Parameter:
    """Its kind is read when it is asked for: what nobody sets costs no look into other modules."""

    name: str
    annotation: ast.expr | None
    source: Source
    required: bool
    default: Any = None  # `...` where the source does not spell it

    @cached_property
    def kind(self) -> Kind:
        kind = _kind(self.annotation, self.source)
        return either([kind, NOTHING]) if self.default is None and not self.required else kind


@dataclass(frozen=True)
class Signature:
    parameters: dict[str, Parameter]
    accepts_any: bool = False  # has **kwargs


class UnknownTarget(Exception):
    """Nothing of that name; `names` are the dotted targets that there are in its place."""

    def __init__(self, what: str, names: list[str]) -> None:
        super().__init__(what)
        self.names = names


@cache
def signature(target: str) -> Signature:
    """Of a function, a class, a dataclass or a method, as `package.module.name` or `package.module.Class.method`."""
    module, _, name = target.rpartition(".")
    if source := read(module):
        found = find(source, name)
        if found and isinstance(found[1], ast.FunctionDef | ast.AsyncFunctionDef):
            return _of_function(*found)
        if found and isinstance(found[1], ast.ClassDef):
            return _of_class(*found)
        raise UnknownTarget(f"{module} has no function or class {name}", [f"{module}.{n}" for n in public(source)])
    owner = find_dotted(module)
    if owner and isinstance(owner[1], ast.ClassDef):
        methods = {d.name: d for d in owner[1].body if isinstance(d, ast.FunctionDef)}
        if name in methods:
            return _of_function(owner[0], methods[name], bound="staticmethod" not in _decorators(methods[name]))
        raise UnknownTarget(f"{module} has no method {name}", [f"{module}.{n}" for n in methods])
    raise UnknownTarget(f"there is no module {module}", neighbours(target))


def of_callable(function: Callable[..., Any]) -> Signature:
    """Of a function at hand; a first parameter annotated `Run` is left out, since no configuration gives it."""
    parameters = list(inspect.signature(function).parameters.values())
    spelt = {p.name: _spelt(p.annotation) for p in parameters}
    if parameters and spelt[parameters[0].name].rpartition(".")[2] == "Run":
        parameters = parameters[1:]
    here = Source(function.__module__, Path(), {}, ())
    named = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    found = [Parameter(p.name, _parsed(spelt[p.name]), here, p.default is p.empty, p.default) for p in named]
    return Signature({p.name: p for p in found}, accepts_any=any(p.kind == p.VAR_KEYWORD for p in parameters))


def _spelt(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return "Any"
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


# --- parameters


def _of_function(source: Source, node: ast.stmt, bound: bool = False) -> Signature:
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    args = node.args
    places = [*args.posonlyargs, *args.args]
    defaults: list[ast.expr | None] = [*[None] * (len(places) - len(args.defaults)), *args.defaults]
    pairs = [*[*zip(places, defaults, strict=True)][bound:], *zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    found = [_parameter(arg.arg, arg.annotation, default, source) for arg, default in pairs]
    return Signature({p.name: p for p in found}, accepts_any=args.kwarg is not None)


def _parameter(name: str, annotation: ast.expr | None, default: ast.expr | None, source: Source) -> Parameter:
    return Parameter(name, annotation, source, default is None, _literal(default))


def _of_class(source: Source, node: ast.stmt, depth: int = DEPTH) -> Signature:
    assert isinstance(node, ast.ClassDef)
    own = next((d for d in node.body if isinstance(d, ast.FunctionDef) and d.name == "__init__"), None)
    if own:
        return _of_function(source, own, bound=True)
    bases = [_of_class(*base, depth - 1) for base in _bases(source, node) if depth]
    if "dataclass" in _decorators(node):
        inherited = {name: p for base in reversed(bases) for name, p in base.parameters.items()}
        return Signature({**inherited, **{p.name: p for p in _fields(source, node)}})
    return next((base for base in bases if base.parameters or base.accepts_any), Signature({}))


def _bases(source: Source, node: ast.ClassDef) -> Iterator[tuple[Source, ast.ClassDef]]:
    for base in node.bases:
        found = find(source, base.id) if isinstance(base, ast.Name) else None
        if found and isinstance(found[1], ast.ClassDef):
            yield found[0], found[1]


def _fields(source: Source, node: ast.ClassDef) -> Iterator[Parameter]:
    for field in node.body:
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        options = _field_options(field.value)
        outer = field.annotation.value if isinstance(field.annotation, ast.Subscript) else field.annotation
        no_parameter = _last(outer) in ("ClassVar", "KW_ONLY") or _literal(options.get("init")) is False
        if no_parameter:
            continue
        plain = None if _is_field_call(field.value) else field.value
        default = plain or options.get("default") or options.get("default_factory")
        yield _parameter(field.target.id, field.annotation, default, source)


def _is_field_call(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Call) and _last(value.func) == "field"


def _field_options(value: ast.expr | None) -> dict[str, ast.expr]:
    if not (isinstance(value, ast.Call) and _is_field_call(value)):
        return {}
    return {keyword.arg: keyword.value for keyword in value.keywords if keyword.arg}


def _decorators(node: ast.ClassDef | ast.FunctionDef) -> set[str]:
    return {_last(d.func if isinstance(d, ast.Call) else d) for d in node.decorator_list}


def _literal(node: ast.expr | None) -> Any:
    """The value that the source spells; `...` for what has to be computed."""
    try:
        return ast.literal_eval(node) if node is not None else ...
    except ValueError:
        return ...


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


# --- annotations

_SCALARS = {name: Plain(name) for name in ("int", "float", "str", "bool", "None", "Path")} | {"PathLike": Plain("Path")}
_SEVERAL = {
    **dict.fromkeys(("list", "List", "Sequence", "Iterable", "Collection", "set", "frozenset"), "list"),
    **dict.fromkeys(("dict", "Dict", "Mapping", "MutableMapping"), "dict"),
    **dict.fromkeys(("tuple", "Tuple"), "tuple"),
}


def _parsed(annotation: str) -> ast.expr | None:
    try:
        return ast.parse(annotation, mode="eval").body
    except SyntaxError:
        return None


def _kind(node: ast.expr | None, source: Source, depth: int = DEPTH) -> Kind:
    if isinstance(node, ast.Constant):
        return _kind(_parsed(node.value), source, depth) if isinstance(node.value, str) else NOTHING
    if isinstance(node, ast.BinOp):
        return either([_kind(node.left, source, depth), _kind(node.right, source, depth)])
    if isinstance(node, ast.Subscript):
        return _subscripted(_last(node.value), node.slice, source, depth)
    name = _last(node) if node is not None else ""
    if name in ("Any", "object"):
        return ANYTHING
    if name in _SCALARS:
        return _SCALARS[name]
    if name in _SEVERAL:
        return Several(_SEVERAL[name])
    return _named(name, source, depth) if isinstance(node, ast.Name) and depth else OBJECT


def _subscripted(name: str, inner: ast.expr, source: Source, depth: int) -> Kind:
    parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if name == "Literal":
        return Choice(tuple(_literal(part) for part in parts))
    if name in ("Annotated", "Final", "InitVar", "Required"):
        return _kind(parts[0], source, depth)
    kinds = [_kind(part, source, depth) for part in parts if _literal(part) is not ... or not _is_dots(part)]
    if name in ("Optional", "Union"):
        return either([*kinds, NOTHING] if name == "Optional" else kinds)
    if name in _SEVERAL:
        fixed = name in ("tuple", "Tuple") and not any(map(_is_dots, parts))
        return Several(_SEVERAL[name], tuple(kinds), fixed)
    return OBJECT


def _is_dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _named(name: str, source: Source, depth: int) -> Kind:
    """An alias such as `Mode = Literal["a", "b"]`, an Enum, or a class that only code can make."""
    found = find(source, name)
    if found and isinstance(found[1], ast.Assign | ast.AnnAssign) and found[1].value is not None:
        return _kind(found[1].value, found[0], depth - 1)
    if found and isinstance(found[1], ast.ClassDef) and _is_enum(*found):
        return Choice(_members(found[1]), enum=True)
    return OBJECT


def _is_enum(source: Source, node: ast.stmt) -> bool:
    assert isinstance(node, ast.ClassDef)
    return any(_last(base).endswith(("Enum", "Flag")) for base in node.bases)


def _members(node: ast.ClassDef) -> tuple[Any, ...]:
    assigns = [d for d in node.body if isinstance(d, ast.Assign) and isinstance(d.targets[0], ast.Name)]
    named = {d.targets[0].id: _literal(d.value) for d in assigns if isinstance(d.targets[0], ast.Name)}
    return tuple(name.lower() if value is ... else value for name, value in named.items())  # auto() of a StrEnum
