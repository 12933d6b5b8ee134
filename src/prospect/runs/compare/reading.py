"""Files of run folders that may be whole, broken, or not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml


class Unreadable(Exception):
    """Says which file and why."""


class _Loader(yaml.CSafeLoader):
    """Dates stay text, as they were for the run."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in several if tag != "tag:yaml.org,2002:timestamp"]
    for first, several in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def read_text(path: Path) -> str | None:
    """None where there is no such file."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"{path.name} cannot be read: {one_line(str(error))}") from None


def read_json(path: Path) -> dict[str, Any] | None:
    """None where there is no such file."""
    text = read_text(path)
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{path.name} is {'empty' if not text else f'not complete JSON: {error}'}") from None
    if not isinstance(value, dict):
        raise Unreadable(f"{path.name} holds no object")
    return value


def read_yaml(path: Path) -> Any:
    """None where there is no such file, or nothing in it."""
    text = read_text(path)
    if text is None:
        return None
    try:
        return yaml.load(text, _Loader)  # a safe loader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Unreadable(f"{path.name} is not YAML: {one_line(str(error))}") from None


def yaml_value(text: str) -> Any:
    """As it would be read in a file; a text that is no YAML is itself."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError:
        return text


def read_config(path: Path) -> dict[str, Any]:
    """Nested, as composed; {} where there is no file."""
    config = read_yaml(path)
    if config is not None and not isinstance(config, dict):
        raise Unreadable(f"{path.name} holds no settings")
    return config or {}


def one_line(text: str) -> str:
    return " ".join(text.split())
