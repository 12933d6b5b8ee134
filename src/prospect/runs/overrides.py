"""What was typed after the command: `group=option`, `key=value`, sweeps over either, old names of keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from prospect.runs.check import Mistake
from prospect.runs.faults import INSTALL
from prospect.runs.nearest import nearest

ALIASES = {
    **{
        f"{term}_{kind}_weight": f"loss.{term}_{kind}_weight"
        for term in ("speaking", "dst")
        for kind in ("gen", "binary")
    },
    "neg_frame_sampling_rate": "data.neg_frame_sampling_rate",
}
COMMAND_LINE = "command line"


class Groups:
    """The configuration groups and their options, as Hydra finds them on its search path."""

    def __init__(self, loader: ConfigLoader, name: str, searchpath: list[str]) -> None:
        def listed(group: str, kind: ObjectType) -> list[str]:
            return loader.get_group_options(group, kind, config_name=name, overrides=searchpath)

        self._listed: Callable[[str, ObjectType], list[str]] = cache(listed)

    def options(self, group: str) -> list[str]:
        return self._listed(group, ObjectType.CONFIG)

    def names(self, parent: str = "") -> list[str]:
        inner = [parent + name for name in self._listed(parent, ObjectType.GROUP) if parent + name != "hydra"]
        return [group for name in inner for group in (name, *self.names(name + "/"))]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def is_choice(self, override: Override) -> bool:
        """Whether it picks an option of a group. A dictionary is the value of the key of that name."""
        if override.package is not None:
            return True
        is_value = "." in override.key_or_group or (not override.is_delete() and isinstance(override.value(), dict))
        return not is_value and bool(self.options(override.key_or_group))


def parsed(lines: Iterable[str], loader: ConfigLoader, own: Iterable[str]) -> tuple[list[Override], list[Mistake]]:
    """Each line on its own, so that one syntax error hides no other. `own` keys are no old names of anything."""
    parser, overrides, mistakes = OverridesParser.create(config_loader=loader), [], []
    for line in lines:
        try:
            overrides += parser.parse_overrides([renamed(line, own)])
        except OverrideParseException as error:
            reason = str(error).splitlines()[0] if "=" in line else "write KEY=VALUE or GROUP=OPTION"
            mistakes.append(Mistake(line, f"not understood: {reason}", where=COMMAND_LINE))
    return overrides, mistakes


def renamed(line: str, own: Iterable[str] = ()) -> str:
    key, sign, value = line.partition("=")
    name = key.lstrip("+~")
    return f"{ALIASES[name]}{sign}{value}" if name in ALIASES and name not in own else line


def elements(override: Override) -> list[Override]:
    """A sweep's values one by one, each as an override of its own; anything else is its own only element."""
    if not override.is_sweep_override():
        return [override]
    sweep = override.value()
    if isinstance(sweep, IntervalSweep):  # for sweepers that search: the ends stand for all between
        values = [str(sweep.start), str(sweep.end)]
    else:
        values = list(override.sweep_string_iterator())
    parser = OverridesParser.create(config_loader=override.config_loader)
    return parser.parse_overrides([f"{override.get_key_element()}={value}" for value in values])


def vetted(choice: Override, groups: Groups) -> tuple[Override | None, Mistake | None]:
    """A group choice, or when there is no such option, the nearest one and the mistake: what follows is then checked
    against what was probably meant."""
    if choice.is_delete():
        return choice, None
    group, value = choice.key_or_group, choice.value()
    if value is None:
        return None, Mistake(f"{group}=null", "null is no option", f"~{group}", COMMAND_LINE)
    for option in value if isinstance(value, list) else [value]:
        folder, _, name = f"{group}/{option}".removesuffix(".yaml").rpartition("/")
        options = groups.options(folder)
        if name in options:
            continue
        if group == "hydra/launcher" and name in INSTALL:
            return None, Mistake(f"{group}={option}", f"not installed: {INSTALL[name]}", where=COMMAND_LINE)
        guess = nearest(name, options)
        what = f"no option {str(option)!r}, but {', '.join(options)}" if options else "no such group"
        suggestion = f"{choice.get_key_element()}={guess}" if guess else nearest(group, groups.names())
        mistake = Mistake(f"{group}={option}", what, suggestion, COMMAND_LINE)
        instead = elements_of(f"{choice.get_key_element()}={guess}", choice) if guess else [None]
        return instead[0], mistake
    return choice, None


def elements_of(line: str, like: Override) -> list[Override]:
    return OverridesParser.create(config_loader=like.config_loader).parse_overrides([line])


def has(config: Any, key: str) -> bool:
    """Whether the key stands in the configuration, with whatever value."""
    parent, _, name = key.rpartition(".")
    node = (
        OmegaConf.select(config, parent, throw_on_missing=False, throw_on_resolution_failure=False)
        if parent
        else config
    )
    if isinstance(node, ListConfig):
        return name.isdigit() and int(name) < len(node)
    return isinstance(node, DictConfig) and not node._is_none() and name in map(str, node.keys())


def apply(config: DictConfig, override: Override) -> Mistake | None:
    """A value into the composed configuration. New keys are welcome here: signatures say whether they may be."""
    key = override.key_or_group
    try:
        if override.is_delete():
            return _delete(config, key)
        force = not override.is_hydra_override() or override.is_add() or override.is_force_add()
        OmegaConf.update(config, key, override.value(), merge=True, force_add=force)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        if has(config, key) or not override.is_hydra_override():
            return Mistake(key, reason, where=COMMAND_LINE)
        return Mistake(key, "unknown", _nearest_existing(config, key), COMMAND_LINE)
    return None


def _delete(config: DictConfig, key: str) -> Mistake | None:
    if not has(config, key):
        return Mistake(f"~{key}", "nothing there to delete", _nearest_existing(config, key), COMMAND_LINE)
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    with open_dict(node):
        del node[int(name) if isinstance(node, ListConfig) else name]
    return None


def _nearest_existing(config: DictConfig, key: str) -> str:
    """The key with its first wrong part mended."""
    parts = key.split(".")
    good = next(n for n in range(len(parts) - 1, -1, -1) if not n or has(config, ".".join(parts[:n])))
    node = OmegaConf.select(config, ".".join(parts[:good])) if good else config
    guess = nearest(parts[good], map(str, node.keys())) if isinstance(node, DictConfig) else ""
    mended = ".".join([*parts[:good], guess])
    whole = ".".join([mended, *parts[good + 1 :]])
    return "" if not guess else whole if has(config, whole) else mended
