"""`--help` of a command: what it does, its groups and keys, without importing what it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from hydra.types import RunMode

from prospect.runs.annotations import Several
from prospect.runs.compose import config_loader
from prospect.runs.faults import Conf
from prospect.runs.overrides import Groups
from prospect.runs.signatures import Signature

FLAGS = """\
flags
  -m                   run every combination of key=value1,value2 and group=option1,option2
  --cfg job            print the composed configuration instead of running (-p KEY: only that part; --resolve)
  --info defaults      how the configuration is put together
  --config-dir DIR     one more folder of configurations, before conf/
  --hydra-help         everything else that Hydra can do

hydra.run.dir=DIR chooses the run folder, hydra.sweep.dir=DIR that of a sweep."""


def help_text(main: Callable[..., Any], conf: Conf, schema: Signature) -> str:
    about = main.__doc__ or getattr(sys.modules.get(main.__module__), "__doc__", None) or ""
    parts = [about.strip(), f"usage: python {conf.job}.py [GROUP=OPTION …] [KEY=VALUE …] [-m] [--cfg job]"]
    return "\n\n".join([*filter(None, parts), _groups(conf), _keys(schema), FLAGS])


def _groups(conf: Conf) -> str:
    loader = config_loader(conf)
    groups = Groups(loader, conf.name, [])
    chosen: Any = loader.compute_defaults_list(conf.name, [], RunMode.RUN)
    defaults = chosen.overrides.known_choices
    lines = ["groups (* is the default)"]
    for group in groups.names():
        options = [name + "*" * (name == defaults.get(group)) for name in groups.options(group)]
        lines += [f"  {group:<12} {'  '.join(options)}"] if options else []
    return "\n".join(lines)


def _keys(schema: Signature) -> str:
    """The top level's own keys; those inside of a group are in its YAML."""
    own = [p for p in schema.parameters.values() if not (isinstance(p.kind, Several) and p.kind.name == "dict")]
    return "\n".join(["keys", *(f"  {p.name:<12} {p.kind}" for p in own), "  GROUP.KEY    see conf/GROUP/OPTION.yaml"])
