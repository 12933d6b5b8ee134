"""Which settings differ between runs, and how they are called and spelt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prospect.errors import UserError
from prospect.runs.nearest import nearest

ABSENT = "(absent)"  # the key is not there at all, which null is not
SEEDS = {"seed", "resume"}  # differ between runs of one experiment
TRAINED = "(a run)"  # stands for `run=DIR` of an evaluation: seeds have folders of their own
TARGET = "._target_"

Settings = Mapping[str, Any]


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Dotted keys. A list is one value, unless it holds groups of keys: those are told apart by their place."""
    if isinstance(value, dict) and (value or not path):
        items = [(f"{path}.{name}" if path else str(name), inner) for name, inner in value.items()]
    elif isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
        items = [(f"{path}[{place}]", inner) for place, inner in enumerate(value)]
    else:
        return {path: value}
    return {key: leaf for name, inner in items for key, leaf in flat(inner, name).items()}


def telling(configs: Sequence[Settings]) -> list[dict[str, Any]]:
    """What makes runs different experiments: all but the seed, and what follows it (`model.seed: ${seed}`)."""
    known = dict.fromkeys(key for config in configs for key in config)
    left_out = SEEDS | {key for key in known if key.endswith(".seed") and _follows(key, configs)}
    kept = [{key: value for key, value in config.items() if key not in left_out} for config in configs]
    return [{**config, "run": TRAINED} if config.get("run") is not None else config for config in kept]


def _follows(key: str, configs: Sequence[Settings]) -> bool:
    return all(config[key] == config.get("seed") for config in configs if key in config)


def differing(configs: Sequence[Settings]) -> list[str]:
    """Keys that have not the same value everywhere, in the order of the configurations."""
    keys = dict.fromkeys(key for config in configs for key in config)
    found = [key for key in keys if len({identity(config, key) for config in configs}) > 1]
    return [key for key in found if not _only_empty(key, configs, found)]


def identity(config: Settings, key: str) -> str:
    """Equal for equal values: 1 and 1.0 are, true and 1 are not, nor are null and no such key."""
    return _canonical(config[key]) if key in config else ABSENT


def _canonical(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical, value)) + "]"
    return json.dumps(value, sort_keys=True, default=str)


def _only_empty(key: str, configs: Sequence[Settings], found: Iterable[str]) -> bool:
    """`rates: {}` beside `rates.head: 1` differs in rates.head alone."""
    return all(config.get(key, {}) == {} for config in configs) and any(o.startswith(f"{key}.") for o in found)


def partition(configs: Sequence[Settings], keys: Iterable[str]) -> list[tuple[str, ...]]:
    """For each configuration what the keys say of it."""
    keys = list(keys)
    return [tuple(identity(config, key) for key in keys) for config in configs]


def needed(configs: Sequence[Settings], keys: Sequence[str]) -> list[str]:
    """As few of the keys as tell the same configurations apart: with another model a dozen settings come along.

    What is built goes before its settings, a key of a higher level before one below it.
    """
    whole = len(set(partition(configs, keys)))
    chosen: list[str] = []
    parts = 1
    for key in sorted(keys, key=lambda key: (not key.endswith(TARGET), key.count("."), len(key), key)):
        if parts == whole:
            break
        finer = len(set(partition(configs, [*chosen, key])))
        if finer > parts:
            chosen, parts = [*chosen, key], finer
    return [key for key in keys if key in chosen]


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """The shortest end of each key that no other has. `context._target_` is called context."""
    plain = {key: key.removesuffix(TARGET) for key in keys}
    ends: dict[str, set[str]] = {}
    for key, name in plain.items():
        for end in _ends(name):
            ends.setdefault(end, set()).add(key)
    return {key: next((end for end in _ends(name) if len(ends[end]) == 1), key) for key, name in plain.items()}


def _ends(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[start:]) for start in range(len(parts) - 1, -1, -1)]


def spelt(value: Any) -> str:
    """As on a command line."""
    if isinstance(value, list):
        return "[" + ",".join(map(spelt, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def label(settings: Settings, keys: Sequence[str], short: Mapping[str, str]) -> str:
    """A group's name: `speaking_binary_weight=0.5, context=NoDrop`."""
    parts = []
    for key in keys:
        value = spelt(settings[key])
        if key.endswith(TARGET) and value != ABSENT:
            value = value.rpartition(".")[2]
        parts.append(f"{short[key]}={value}")
    return ", ".join(parts) or "all"


def resolved(name: str, keys: Iterable[str], word: str) -> str:
    """The full key behind what somebody wrote: whole, or any end of it that only one key has."""
    keys = list(keys)
    for wanted in (name, name + TARGET):
        if wanted in keys:
            return wanted
    found = [key for key in keys if name in _ends(key.removesuffix(TARGET))]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{word}={name}: several keys end so: {', '.join(found)}")
    guess = nearest(name, [end for key in keys for end in (key, *_ends(key.removesuffix(TARGET)))])
    raise UserError(f"{word}={name}: no run has such a key" + (f"; did you mean {guess}?" if guess else ""))
