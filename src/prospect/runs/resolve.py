"""A composed configuration as plain values: every interpolation resolved as it will be in the job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from prospect.runs.annotations import MISSING, UNRESOLVED
from prospect.runs.check import Checked, Mistake, check
from prospect.runs.faults import first_line
from prospect.runs.signatures import Signature


def finished(config: DictConfig, schema: Signature, groups: Iterable[str] = ()) -> Checked:
    """A composed configuration as plain containers, every interpolation resolved, checked against the signatures."""
    reading = _Reading()
    with as_if_running(config):
        plain = {str(key): reading.item(config, key, str(key)) for key in list(config) if key != "hydra"}
    checked = check(plain, schema, groups)
    return Checked(checked.config, [*reading.mistakes, *_without_echoes(checked.mistakes, reading.derived)])


def _without_echoes(mistakes: list[Mistake], derived: set[str]) -> list[Mistake]:
    """A wrong value is told where it was written, not again for every `${key}` that repeats it."""
    written = {mistake.what for mistake in mistakes if mistake.key not in derived}
    return [mistake for mistake in mistakes if mistake.key not in derived or mistake.what not in written]


@dataclass
class _Reading:
    mistakes: list[Mistake] = field(default_factory=list)
    derived: set[str] = field(default_factory=set)  # keys whose value is an interpolation

    def item(self, node: DictConfig | ListConfig, key: Any, path: str) -> Any:
        if OmegaConf.is_missing(node, key):
            return MISSING
        if OmegaConf.is_interpolation(node, key):
            self.derived.add(path)
        try:
            value = node[key]
        except (OmegaConfBaseException, RecursionError) as error:
            self.unresolved(path, error)
            return UNRESOLVED
        if isinstance(value, DictConfig):
            return {name: self.item(value, name, f"{path}.{name}") for name in list(value)}
        if isinstance(value, ListConfig):
            return [self.item(value, place, f"{path}[{place}]") for place in range(len(value))]
        return value

    def unresolved(self, path: str, error: BaseException) -> None:
        reason = first_line(error).removeprefix("KeyError raised while resolving interpolation: ").strip('"')
        if all(reason != mistake.what for mistake in self.mistakes):  # else it only repeats the key that fails
            self.mistakes.append(Mistake(path, reason))


@contextmanager
def as_if_running(config: DictConfig) -> Iterator[None]:
    """`${hydra:…}` resolves as it will in the job."""
    singleton = HydraConfig.instance()
    before = singleton.cfg
    try:
        if "hydra" in config:
            singleton.set_config(config)
        yield
    finally:
        singleton.cfg = before


def run_folder(config: DictConfig, multirun: bool) -> tuple[Path | None, Mistake | None]:
    """The folder that Hydra is going to use, told to the configuration as Hydra itself will do."""
    key = "hydra.sweep.dir" if multirun else "hydra.run.dir"
    try:
        with as_if_running(config):
            folder = Path(str(OmegaConf.select(config, key))).absolute()
    except OmegaConfBaseException as error:
        return None, Mistake(key, first_line(error))
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.runtime.output_dir = str(folder)
        if multirun:
            config.hydra.job.num, config.hydra.job.id = 0, "0"
    return folder, None
