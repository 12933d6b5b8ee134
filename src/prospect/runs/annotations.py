"""What a parameter's annotation allows a YAML value to be, and whether a value is that."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from prospect.runs.nearest import nearest

UNRESOLVED = object()  # stands for a value that could not be computed; reported once, where that happened
MISSING = "???"  # OmegaConf's mark for a value that somebody has to give


@dataclass(frozen=True)
class Plain:
    """A scalar, `anything`, or `object`: what no YAML can spell, so that it is handed over at call time."""

    name: str

    def __str__(self) -> str:
        return _NAMES.get(self.name, self.name)


@dataclass(frozen=True)
class Choice:
    values: tuple[Any, ...]
    enum: bool = False

    def __str__(self) -> str:
        return "one of " + ", ".join(map(_shown, self.values))


@dataclass(frozen=True)
class Several:
    """list, tuple or dict with the kind of its elements; a tuple of fixed length has one kind for each."""

    name: str
    elements: tuple[Kind, ...] = ()
    fixed: bool = False

    def __str__(self) -> str:
        return {"list": "a list", "tuple": "a list", "dict": "a group of keys"}[self.name]


@dataclass(frozen=True)
class Either:
    kinds: tuple[Kind, ...]

    def __str__(self) -> str:
        return " or ".join(map(str, self.kinds))


Kind = Plain | Choice | Several | Either
ANYTHING, OBJECT, NOTHING = Plain("anything"), Plain("object"), Plain("None")
_NAMES = {"int": "an integer", "float": "a number", "str": "text", "bool": "true or false", "None": "null"}


class Misfit(Exception):
    """The value is not of the kind. `nearest` is a value that would be."""

    def __init__(self, what: str, nearest: str = "") -> None:
        super().__init__(what)
        self.nearest = nearest


def either(kinds: list[Kind]) -> Kind:
    """One flat kind for all of them. Beside an Enum, plain text is only its spelling: its values are the rule."""
    flat = [part for kind in kinds for part in (kind.kinds if isinstance(kind, Either) else [kind])]
    if any(isinstance(kind, Choice) and kind.enum for kind in flat):
        flat = [kind for kind in flat if kind != Plain("str")]
    unique = tuple(dict.fromkeys(flat))
    return unique[0] if len(unique) == 1 else Either(unique)


def fit(value: Any, kind: Kind) -> Any:
    """The value as the parameter wants it (numeric text becomes a float); Misfit when it is something else."""
    if value is UNRESOLVED or value == MISSING or (isinstance(value, dict) and "_target_" in value):
        return value  # reported elsewhere, or an object to be built whose own signature is checked
    if isinstance(kind, Either):
        return _fit_one_of(value, kind)
    if isinstance(kind, Several):
        return _fit_several(value, kind)
    if isinstance(kind, Choice):
        return _fit_choice(value, kind)
    return _fit_plain(value, kind.name)


def _fit_one_of(value: Any, kind: Either) -> Any:
    misfits, converted = [], []
    for one in kind.kinds:
        try:
            fitted = fit(value, one)
        except Misfit as misfit:
            misfits.append(misfit)
            continue
        if type(fitted) is type(value):  # an exact fit goes before one that converts text to a number
            return fitted
        converted.append(fitted)
    if converted:
        return converted[0]
    detail = next((m for m in misfits if m.nearest), None) or next((m for m in misfits if "element" in str(m)), None)
    raise detail or Misfit(f"{_shown(value)} is not {kind}")


def _fit_plain(value: Any, name: str) -> Any:
    if name in ("anything", "object"):
        return value
    if name == "float":
        return _fit_float(value)
    types = {"int": int, "str": str, "bool": bool, "None": type(None), "Path": str}
    fits = isinstance(value, types[name]) and not (name == "int" and isinstance(value, bool))
    if fits:
        return value
    raise Misfit(f"{_shown(value)} is {_NO[name]}", _respelt(value, name))


def _fit_float(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    raise Misfit(f"{_shown(value)} is no number")


def _fit_choice(value: Any, kind: Choice) -> Any:
    if any(value == choice and type(value) is type(choice) for choice in kind.values):
        return value
    if isinstance(value, bool) and (word := _yaml_word(value, kind)):
        # YAML reads a bare yes/no/on/off as a truth value
        raise Misfit(f"{_shown(value)} is not {kind}; YAML reads {word} as {_shown(value)}, so quote it", f"'{word}'")
    raise Misfit(f"{_shown(value)} is not {kind}", nearest(str(value), [str(choice) for choice in kind.values]))


def _fit_several(value: Any, kind: Several) -> Any:
    if not isinstance(value, dict if kind.name == "dict" else list):
        raise Misfit(f"{_shown(value)} is not {kind}")
    if not kind.elements:
        return value
    if isinstance(value, dict):
        return {key: _element(key, item, kind.elements[-1]) for key, item in value.items()}
    if kind.fixed and len(value) != len(kind.elements):
        raise Misfit(f"{_shown(value)} has {len(value)} elements, not {len(kind.elements)}")
    kinds = kind.elements if kind.fixed else kind.elements[:1] * len(value)
    return [_element(place, item, one) for place, (item, one) in enumerate(zip(value, kinds, strict=True))]


def _element(place: Any, value: Any, kind: Kind) -> Any:
    try:
        return fit(value, kind)
    except Misfit as misfit:
        raise Misfit(f"element {place}: {misfit}", misfit.nearest) from None


_NO = {"int": "no int", "str": "no text", "bool": "neither true nor false", "None": "not null", "Path": "no path"}


def _respelt(value: Any, name: str) -> str:
    """The same value in the right type, where that is plain to see."""
    if name == "int" and isinstance(value, float) and value.is_integer():
        return str(int(value))
    if name == "int" and isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
        return str(int(value))
    if name == "str" and isinstance(value, bool | int | float):
        return f"'{_shown(value)}'"
    if name == "bool" and str(value).lower() in _TRUTH:
        return _TRUTH[str(value).lower()]
    if name == "bool" and isinstance(value, str):
        return nearest(value.lower(), ["true", "false"])
    return ""


_TRUTH = {
    word: truth
    for truth, words in {"true": "1 yes on true", "false": "0 no off false"}.items()
    for word in words.split()
}


def _yaml_word(value: bool, kind: Choice) -> str:
    words = ("yes", "on", "true") if value else ("no", "off", "false")
    return next((word for word in words if word in kind.values), "")


def _shown(value: Any) -> str:
    """As YAML would spell it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
