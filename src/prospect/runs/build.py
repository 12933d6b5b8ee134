"""From a checked configuration node to the object it names."""

from __future__ import annotations

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate


def build(node: dict[str, Any], **more: Any) -> Any:
    """Hydra's instantiate, with plain lists and dicts, and with the error of the object itself where it has one."""
    try:
        return instantiate(node, _convert_="all", **more)
    except InstantiationException as wrapped:
        if wrapped.__cause__ is None:
            raise
        raise wrapped.__cause__ from None
