"""Every mistake of a composed configuration at once, before anything is imported or built.

Signatures are the schema: a node's `_target_` names a function or class, and its keys are that one's parameters. The
top level belongs to the command's main function.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from prospect.runs.annotations import MISSING, UNRESOLVED, Choice, Kind, Misfit, Plain, fit
from prospect.runs.nearest import nearest, nearest_path
from prospect.runs.signatures import Signature, UnknownTarget, signature

PACKAGE = "prospect."
LIBRARY = ("transformers.TrainingArguments", "trl.DPOConfig", "trl.GRPOConfig")
_DIRECTIVES: dict[str, Kind] = {  # Hydra's own keys of a node that is to be built
    "_partial_": Plain("bool"),
    "_recursive_": Plain("bool"),
    "_convert_": Choice(("none", "partial", "object", "all")),
    "_args_": Plain("anything"),
}


@dataclass(frozen=True)
class Mistake:
    """One thing to mend: the key or file, what is wrong with it, the right name nearest to it, where it was written."""

    key: str
    what: str
    nearest: str = ""
    where: str = ""

    @property
    def is_missing(self) -> bool:
        return self.what.startswith("missing")

    def __str__(self) -> str:
        guess = f"; did you mean {self.nearest}?" if self.nearest else ""
        return f"{self.key}: {self.what}{guess}" + (f"  ({self.where})" if self.where else "")


@dataclass
class Checked:
    """The configuration with numeric texts made numbers, and what is wrong with it."""

    config: dict[str, Any]
    mistakes: list[Mistake]


def check(config: dict[str, Any], schema: Signature, groups: Iterable[str] = ()) -> Checked:
    """Bind a plain container to the main function's signature and every `_target_` in it to its own."""
    walk = _Walk()
    checked = walk.bind(config, schema, "", {}, beside=groups)
    return Checked(checked, walk.reported())


@dataclass
class _Walk:
    mistakes: list[Mistake] = field(default_factory=list)
    known: list[str] = field(default_factory=list)  # every key that there could be
    unknown: dict[str, list[str]] = field(default_factory=dict)  # key -> names of its level

    def bind(
        self,
        values: dict[str, Any],
        schema: Signature,
        path: str,
        directives: dict[str, Any],
        beside: Iterable[str] = (),
    ) -> dict[str, Any]:
        parameters = schema.parameters
        positional = list(parameters)[: len(directives.get("_args_") or [])]
        self.known += [_join(path, name) for name in parameters]
        bound: dict[str, Any] = {}
        for name, value in values.items():
            key, parameter = _join(path, name), parameters.get(name)
            if parameter is None and not schema.accepts_any:
                self.unknown[key] = [*parameters, *beside]
            else:
                bound[name] = self.value(value, parameter.kind if parameter else Plain("anything"), key)
        if directives.get("_partial_") is not True:  # else the caller gives the rest; what a user must give is ???
            for name, parameter in parameters.items():
                if parameter.required and name not in values and name not in positional:
                    self.missing(_join(path, name))
        return bound

    def missing(self, key: str) -> None:
        self.mistakes.append(Mistake(key, f"missing; set it with {key}=VALUE"))

    def value(self, value: Any, kind: Kind, key: str) -> Any:
        if isinstance(value, str) and value == MISSING:
            self.missing(key)
            return value
        value = self.inside(value, key)
        try:
            return fit(value, kind)
        except Misfit as misfit:
            self.mistakes.append(Mistake(key, str(misfit), misfit.nearest))
            return value

    def inside(self, value: Any, key: str) -> Any:
        """Check what is to be built somewhere inside, whatever holds it."""
        if isinstance(value, dict):
            if "_target_" in value:
                return self.node(value, key)
            return {name: self.nested(item, _join(key, name)) for name, item in value.items()}
        if isinstance(value, list):
            return [self.nested(item, f"{key}[{place}]") for place, item in enumerate(value)]
        return value

    def nested(self, value: Any, key: str) -> Any:
        if isinstance(value, str) and value == MISSING:
            self.missing(key)
        return self.inside(value, key)

    def node(self, node: dict[str, Any], path: str) -> dict[str, Any]:
        target = node["_target_"]
        directives = {"_target_": target} | {name: node[name] for name in node if name in _DIRECTIVES}
        values = {name: value for name, value in node.items() if name not in directives}
        for name in directives.keys() & _DIRECTIVES.keys():
            directives[name] = self.value(directives[name], _DIRECTIVES[name], _join(path, name))
        schema = self.signature_of(target, _join(path, "_target_"))
        if schema is None:
            return node
        return {**directives, **self.bind(values, schema, path, directives, beside=_DIRECTIVES)}

    def signature_of(self, target: Any, key: str) -> Signature | None:
        if target is UNRESOLVED:
            return None
        if target not in LIBRARY and not str(target).startswith(PACKAGE):
            allowed = f"only {PACKAGE}* and {', '.join(LIBRARY)} may be built"
            self.mistakes.append(Mistake(key, f"{target!r} is not allowed: {allowed}", nearest(str(target), LIBRARY)))
            return None
        try:
            return signature(target)
        except UnknownTarget as unknown:
            self.mistakes.append(Mistake(key, str(unknown), nearest(target, unknown.names)))
            return None

    def reported(self) -> list[Mistake]:
        """Unknown keys last: only now all the keys are known that they may have been meant for. A key that is missing
        because it was misspelt is one mistake, not two."""
        guesses = {key: nearest_path(key, names, self.known) for key, names in self.unknown.items()}
        others = [m for m in self.mistakes if not (m.is_missing and m.key in guesses.values())]
        return [*others, *(Mistake(key, "unknown", guess) for key, guess in guesses.items())]


def _join(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)
