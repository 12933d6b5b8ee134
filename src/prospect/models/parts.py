"""The parts of a model, by whose names freezing and learning rates say what they mean."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

PARTS = ("vision", "connector", "language", "heads")
ALSO = {"projector": "connector"}
CONNECTORS = (".connector.", ".visual.merger.", ".visual.deepstack_merger_list.")  # between tower and language model


def part_of(name: str) -> str:
    """The part to which a parameter belongs, by its path, an adapter's updates with what they adapt."""
    if "decisions" in name.split("."):
        return "heads"
    if any(part in name for part in CONNECTORS):
        return "connector"
    return "vision" if ".vision_model." in name or ".visual." in name else "language"


def part_named(word: str) -> str | None:
    """The part that a word names, if it names one."""
    word = ALSO.get(word, word)
    return word if word in PARTS else None


def modules_of(part: str, model: nn.Module) -> list[str]:
    """Paths of the outermost modules that belong to the part as a whole; nothing of the part lies outside them."""
    return list(_inside(part, model, ""))


def _inside(part: str, module: nn.Module, path: str) -> Iterator[str]:
    parts = {part_of(f"{path}{name}") for name, _ in module.named_parameters(remove_duplicate=False)}
    if part not in parts:
        return
    if parts == {part} and path and not isinstance(module, nn.ModuleList):  # no list can be wrapped by an adapter
        yield path.removesuffix(".")
        return
    own = [name for name, _ in module.named_parameters(recurse=False) if part_of(f"{path}{name}") == part]
    assert not own, f"{path}{own[0]} lies in a module of several parts"
    for name, child in module.named_children():
        yield from _inside(part, child, f"{path}{name}.")
