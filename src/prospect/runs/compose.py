"""From the command line to a composed and checked configuration, with all mistakes of all sources at once."""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobRuntime, setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from prospect.runs import stamp  # noqa: F401  its import makes ${run_stamp:} known
from prospect.runs.check import Checked, Mistake
from prospect.runs.faults import FAULTS, Conf, broken, comment_above
from prospect.runs.overrides import COMMAND_LINE, Groups, apply, elements, has, parsed, vetted
from prospect.runs.resolve import finished, run_folder
from prospect.runs.signatures import Signature

VERSION = "1.3"  # of Hydra's behaviour
_BUILDERS = ("hydra.", "hydra_plugins.", "prospect.")  # what Hydra's own node may build


@dataclass
class Composed:
    """`config` is what the main function gets; `overrides` is what Hydra is given; no mistakes, or nothing runs."""

    mistakes: list[Mistake]
    config: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    folder: Path | None = None  # of the run, or of the sweep
    multirun: bool = False
    sweeper: str = ""
    launcher: str = ""


def config_loader(conf: Conf) -> ConfigLoader:
    hydra.version.setbase(VERSION)
    setup_globals()
    JobRuntime.instance().set("name", conf.job)
    search_path = create_config_search_path(str(conf.folder.absolute()))
    if conf.extra:
        before = SearchPathQuery(provider="schema")
        search_path.prepend("command-line", f"file://{conf.extra.absolute()}", before)
    return ConfigLoaderImpl(search_path)


def compose(conf: Conf, lines: list[str], schema: Signature, multirun: bool = False) -> Composed:
    """Compose and check; of a sweep, every value of every key, the other keys at their first."""
    with _uncollected():
        loader = config_loader(conf)
        overrides, mistakes = parsed(lines, loader, schema.parameters)
        composer = Composer(conf, loader, schema, overrides)
        try:
            composed = composer.composed(multirun)
        except FAULTS as fault:
            composed = Composed([*composer.mistakes, broken(conf, fault)], multirun=multirun)
    composed.mistakes = [*dict.fromkeys([*mistakes, *composed.mistakes])]
    return composed


@contextmanager
def _uncollected() -> Iterator[None]:
    """The collector finds nothing in the syntax trees that are read here, and took a fifth of the time to do so."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Composer:
    """One command line on its way: what is wrong with it so far, and the keys that are new to the configuration."""

    def __init__(self, conf: Conf, loader: ConfigLoader, schema: Signature, overrides: list[Override]) -> None:
        self.conf, self.loader, self.schema, self.overrides = conf, loader, schema, overrides
        self.searchpath = [o.input_line or "" for o in overrides if o.key_or_group == "hydra.searchpath"]
        self.groups = Groups(loader, conf.name, self.searchpath)
        self.mistakes: list[Mistake] = []
        self.new_keys: set[str] = set()
        self.swept: set[str] = set()  # keys that a file sweeps over
        self.guessed: set[str] = set()  # groups of whose option only the nearest is known
        self.base = cache(self._base)

    def composed(self, multirun: bool) -> Composed:
        alternatives = [self.alternatives(override) for override in self.overrides]
        config = self.applied(next(_jobs(alternatives)))
        if multirun or config.hydra.mode == RunMode.MULTIRUN:
            multirun = True
            alternatives += [self.alternatives(override) for override in self.sweeper_params(config)]
            others = list(_jobs(alternatives))[not self.swept :]  # the first is checked below, unless a file adds to it
        else:
            others = []
            self.mistakes += [_needs_multirun(o) for o in self.overrides if o.is_sweep_override()]
        folder, checked = self.checked(config, multirun)
        for job in others:
            self.checked(self.applied(job), multirun)
        lines = [self.line(override) for override in self.overrides]
        plugins = [str(OmegaConf.select(config.hydra, f"{name}._target_")) for name in ("sweeper", "launcher")]
        return Composed(self.mistakes, checked.config, lines, folder, multirun, *plugins)

    def alternatives(self, override: Override) -> list[Override]:
        if override.is_sweep_override() and override.is_hydra_override():
            self.mistakes.append(Mistake(override.key_or_group, "Hydra's own keys cannot be swept", where=COMMAND_LINE))
            return []
        kept = []
        for element in elements(override):
            if self.groups.is_choice(element):
                good, mistake = vetted(element, self.groups)
                kept += [good] if good else []
                if mistake:
                    self.mistakes.append(mistake)
                    self.guessed.add(f"{element.key_or_group}.")
            else:
                kept.append(element)
        return kept

    def sweeper_params(self, config: DictConfig) -> list[Override]:
        """Sweeps that a configuration file asks for."""
        params = OmegaConf.select(config, "hydra.sweeper.params") or {}
        typed = {override.key_or_group for override in self.overrides}
        swept, mistakes = parsed([f"{k}={v}" for k, v in params.items() if k not in typed], self.loader, ())
        self.mistakes += mistakes
        self.swept = {override.key_or_group for override in swept}
        return swept

    def _base(self, choices: tuple[str, ...]) -> DictConfig:
        """Files and group choices, before any single value."""
        lines = [*self.searchpath, *choices]
        return self.loader.load_configuration(self.conf.name, lines, RunMode.RUN, validate_sweep_overrides=False)

    def applied(self, job: list[Override]) -> DictConfig:
        choices = [override for override in job if self.groups.is_choice(override)]
        values = [o for o in job if o not in choices and o.key_or_group != "hydra.searchpath"]
        self.choices = tuple(map(self.line, choices))
        config = copy.deepcopy(self.base(self.choices))
        self.new_keys |= {o.key_or_group for o in values if not has(config, o.key_or_group)}
        self.mistakes += filter(None, [apply(config, value) for value in values])
        return config

    def checked(self, config: DictConfig, multirun: bool) -> tuple[Path | None, Checked]:
        self.mistakes += _forbidden_builders(config)
        folder, mistake = run_folder(config, multirun)
        checked = finished(config, self.schema, self.groups)
        found = [*([mistake] if mistake else []), *checked.mistakes]
        meant = [m for m in found if not (m.is_missing and m.key.startswith(tuple(self.guessed)))]
        self.mistakes += [self._placed(mistake) for mistake in meant]
        return folder, checked

    def _placed(self, mistake: Mistake) -> Mistake:
        """With where it was written; a missing key also with what its file says about it."""
        where = mistake.where or self.origin(mistake.key)
        said = comment_above(self.conf, where, mistake.key) if mistake.is_missing else ""
        return Mistake(mistake.key, f"{mistake.what}. {said}" if said else mistake.what, mistake.nearest, where)

    def line(self, override: Override) -> str:
        """For Hydra: `++` where a key is new, or may be inside a dictionary, since the signatures have decided that it
        may be."""
        line, key = override.input_line or "", override.key_or_group
        if self.groups.is_choice(override):
            is_listed = override.is_add() and key in self.defaults.overrides.known_choices
            return line[1:] if is_listed else line
        if override.is_hydra_override() or override.is_delete() or override.is_force_add():
            return line
        new = override.is_add() or key in self.new_keys
        new |= not override.is_sweep_override() and isinstance(override.value(), dict)
        return f"++{line.removeprefix('+')}" if new else line

    @property
    def defaults(self) -> Any:
        return self.loader.compute_defaults_list(self.conf.name, self.searchpath, RunMode.RUN)

    def origin(self, key: str) -> str:
        """Where a key was written: the command line, or the last file that names it."""
        key = key.partition("[")[0]
        typed = [o.key_or_group for o in self.overrides if not self.groups.is_choice(o)]
        if any(key == other or key.startswith(f"{other}.") or other.startswith(f"{key}.") for other in typed):
            return COMMAND_LINE
        if key in self.swept:
            return "hydra.sweeper.params"
        defaults = self.loader.compute_defaults_list(self.conf.name, [*self.searchpath, *self.choices], RunMode.RUN)
        for default in reversed(defaults.defaults):
            package = f"{default.package}." if default.package else ""
            if key.startswith(package) and self.writes(f"{default.config_path}.yaml", key.removeprefix(package)):
                return f"{self.conf.folder.name}/{default.config_path}.yaml"
        return ""

    def writes(self, name: str, key: str) -> bool:
        files = [file for folder in self.conf.folders if (file := folder / name).is_file()]
        return bool(files) and has(OmegaConf.load(files[0]), key)


def _jobs(alternatives: list[list[Override]]) -> Iterator[list[Override]]:
    """The job of all first values, then one for each other value of each sweep."""
    given = [several for several in alternatives if several]
    firsts = [several[0] for several in given]
    yield firsts
    for place, several in enumerate(given):
        for other in several[1:]:
            yield [*firsts[:place], other, *firsts[place + 1 :]]


def _needs_multirun(override: Override) -> Mistake:
    line = override.input_line or ""
    key, value = line.partition("=")[::2]
    hint = f"add -m to sweep over them, or write {key}=[{value}] for a list" if "(" not in value else "add -m to sweep"
    return Mistake(line, f"several values: {hint}", where=COMMAND_LINE)


def _forbidden_builders(config: DictConfig) -> Iterator[Mistake]:
    for key in ("launcher", "sweeper", *(f"callbacks.{name}" for name in config.hydra.callbacks or {})):
        target = OmegaConf.select(config.hydra, f"{key}._target_")
        if target and not str(target).startswith(_BUILDERS):
            yield Mistake(f"hydra.{key}._target_", f"{str(target)!r} is not allowed: only {', '.join(_BUILDERS)}")
