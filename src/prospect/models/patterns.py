"""Modules as a user names them: by regular expressions of their whole paths, or by the name of a part."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers import PreTrainedModel

from prospect.errors import UserError
from prospect.models.parts import PARTS, modules_of, part_named, part_of

HEADS = "decisions"  # the module of a model that watches streams
ADAPTABLE = (nn.Linear, nn.Embedding, nn.Conv2d)
OF_ADAPTERS = re.compile(r"(.*\.)?(base_layer|lora_\w+|modules_to_save|original_module)(\..*)?")  # paths inside of them


def matches(patterns: Collection[str], model: PreTrainedModel, key: str) -> list[str]:
    """Paths of the modules that are named. A pattern that names none is a mistake."""
    names = [name for name, _ in model.named_modules() if name and not OF_ADAPTERS.fullmatch(name)]
    found: dict[str, None] = {}
    for pattern in patterns:
        part = part_named(pattern)
        hits = modules_of(part, model) if part else _hits(pattern, names, key)
        if not hits and part:
            there = ", ".join(part for part in PARTS if modules_of(part, model))
            raise UserError(f"{key}: the model has no part {pattern}; it has {there}")
        if not hits:
            near = ", ".join(_near(pattern, names))
            raise UserError(f"{key}: no module path matches {pattern!r}; near it are: {near}")
        found |= dict.fromkeys(hits)
    return list(found)


def targeted(targets: list[str], model: PreTrainedModel) -> list[str]:
    """Paths of the layers that get low-rank updates."""
    if not targets:
        raise UserError(
            "adapt.targets is empty, so there is nothing to put an adapter on; name layers, or use adapt=full"
        )
    if parts := [target for target in targets if part_named(target)]:
        raise UserError(
            f"adapt.targets: {parts[0]} is a whole part, and updates belong to single layers; let a pattern end at them"
        )
    found = matches(targets, model, "adapt.targets")
    for name in found:
        module = model.get_submodule(name)
        if isinstance(module, BaseTunerLayer):  # another adapter is on it
            module = module.get_base_layer()
        if name.split(".")[0] == HEADS:
            raise UserError(f"adapt.targets: {name} belongs to the heads, which are trained as a whole; leave it out")
        if not isinstance(module, ADAPTABLE):
            raise UserError(
                f"adapt.targets: {name} is a {type(module).__name__}, which LoRA cannot adapt; let the pattern end at "
                "layers such as (q|k|v|o)_proj"
            )
    return found


def ranked(ranks: dict[str, int], found: list[str]) -> dict[str, int]:
    """The rank of each layer that has one of its own. Where two patterns name a layer, the later one counts."""
    named: dict[str, int] = {}
    for pattern, rank in ranks.items():
        part = part_named(pattern)
        of_part = [name for name in found if part_of(f"{name}.weight") == part]
        hits = of_part if part else _hits(pattern, found, "adapt.ranks")
        if not hits:
            near = ", ".join(_near(pattern, found))
            raise UserError(f"adapt.ranks: {pattern!r} names no layer of adapt.targets; among them are: {near}")
        named |= dict.fromkeys(hits, rank)
    return named


def outermost(names: list[str]) -> list[str]:
    return [name for name in names if not any(name.startswith(f"{other}.") for other in names)]


def check_apart(found: list[str], whole: list[str]) -> None:
    """What is trained as a whole needs no update beside it, and a saved adapter would hold it twice."""
    for name in found:
        if around := [other for other in whole if name == other or name.startswith(f"{other}.")]:
            raise UserError(
                f"adapt.targets: {name} lies in {around[0]}, which adapt.train trains as a whole; name it only once"
            )


def check_untied(names: list[str], model: PreTrainedModel) -> None:
    """Input and output embeddings that share their weights cannot be adapted apart: saved, one side would be lost."""
    if not model.config.tie_word_embeddings:
        return
    inside = [f"{name}.{path}".strip(".") for name in names for path, _ in model.get_submodule(name).named_modules()]
    if tied := [name for name in inside if name.endswith(("embed_tokens", "lm_head"))]:
        raise UserError(
            f"adapt: {tied[0]} shares its weights with the other end of the model; leave it out, or adapt=full"
        )


def _hits(pattern: str, names: list[str], key: str) -> list[str]:
    try:
        return [name for name in names if re.fullmatch(pattern, name)]
    except re.error as error:
        raise UserError(f"{key}: {pattern!r} is no regular expression: {error}") from error


def _near(pattern: str, names: list[str]) -> list[str]:
    """Module paths like the pattern, with one entry for all layers of a kind."""
    kinds = list(dict.fromkeys(re.sub(r"\.\d+\.", ".0.", name) for name in names))
    plain = re.sub(r"\\d\+", "0", pattern).replace(".*", "").replace("\\", "")
    last = plain.rsplit(".", 1)[-1]
    ends = {kind.rsplit(".", 1)[-1]: kind for kind in kinds}
    same_end = [ends[end] for end in difflib.get_close_matches(last, ends, n=3, cutoff=0.5)]
    return list(dict.fromkeys([*same_end, *difflib.get_close_matches(plain, kinds, n=4, cutoff=0.0)]))[:5]
