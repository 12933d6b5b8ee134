"""What Hydra, OmegaConf and YAML raise about a configuration, as one line that names the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from hydra.errors import HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prospect.runs.check import Mistake
from prospect.runs.nearest import nearest

INSTALL = {"joblib": "pip install -e '.[joblib]'"}  # launchers that are packages of their own
FAULTS = (HydraException, OmegaConfBaseException, yaml.YAMLError, OSError, ValueError, RecursionError)


@dataclass(frozen=True)
class Conf:
    """Where configurations lie: the folder of the groups, the primary file's name, one more folder before it."""

    folder: Path
    name: str = "config"
    extra: Path | None = None
    job: str = "train"

    @property
    def folders(self) -> list[Path]:
        return [self.extra, self.folder] if self.extra else [self.folder]

    def shown(self, file: Path) -> str:
        root = self.folder.absolute().parent
        return str(file.relative_to(root)) if file.is_relative_to(root) else str(file)


def broken(conf: Conf, fault: Exception) -> Mistake:
    """A file that cannot be read, or a defaults list that leads nowhere, as one line."""
    if isinstance(fault, yaml.MarkedYAMLError) and fault.problem_mark:
        place = f"{conf.shown(Path(fault.problem_mark.name))}, line {fault.problem_mark.line + 1}"
        return Mistake(place, f"no YAML: {fault.problem}")
    if isinstance(fault, MissingConfigException) and fault.missing_cfg_file:
        group, _, name = fault.missing_cfg_file.rpartition("/")
        if group == "hydra/launcher" and name in INSTALL:
            return Mistake(f"launcher={name}", f"not installed: {INSTALL[name]}")
        options = fault.options or [file.stem for file in sorted((conf.folder / group).glob("*.yaml"))]
        return Mistake(conf.folder.name, first_line(fault), nearest(name, options))
    if unchosen := _unchosen(first_line(fault)):
        return Mistake(unchosen, f"missing; set it with {unchosen}=OPTION")
    return Mistake(_culprit(conf, fault), first_line(fault))


def _unchosen(line: str) -> str | None:
    """The group that was taken away, and whose option a defaults list goes by."""
    found = re.match(r"Error resolving interpolation '(.*)', possible interpolation keys: (.*)", line)
    if not found:
        return None
    known = found[2].split(", ")
    return next((group for group in re.findall(r"\$\{(.+?)\}", found[1]) if group not in known), None)


def _culprit(conf: Conf, fault: BaseException) -> str:
    """The file whose own reading fails as the composition did, else the folder."""
    for file in sorted({*conf.folder.rglob("*.yaml"), *conf.folder.glob("*/*.yaml")}):  # rglob follows no links
        try:
            OmegaConf.load(file)
        except FAULTS as own:
            if first_line(own) == first_line(fault):
                return conf.shown(file)
    return conf.folder.name


def first_line(error: BaseException) -> str:
    """Hydra wraps: the first error on the way down that says something."""
    lines = str(error).strip().splitlines()
    if lines:
        return lines[0]
    return first_line(error.__cause__) if error.__cause__ else type(error).__name__


def comment_above(conf: Conf, shown: str, key: str) -> str:
    """The sentences that a configuration file has above a key."""
    file = conf.folder.parent / shown
    if not shown or not file.is_file():
        return ""
    lines = file.read_text(encoding="utf-8").splitlines()
    place = next((n for n, line in enumerate(lines) if line.strip().startswith(f"{key.rpartition('.')[2]}:")), 0)
    start = place
    while start and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return " ".join(line.lstrip("# ").strip() for line in lines[start:place])
