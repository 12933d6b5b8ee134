"""What is trained: the whole model, or a LoRA adapter on layers named by their module path."""

from __future__ import annotations

import copy
import difflib
import logging
import re
import warnings
from dataclasses import replace

import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from prospect.errors import UserError
from prospect.models.base import Base
from prospect.models.vlm import VLM

log = logging.getLogger(__name__)

# A bare `q_proj` would hit the vision tower as well, which has layers of the same names.
LANGUAGE_PROJECTIONS = r"model\.(text_model|language_model)\..*\.(q|k|v|o|gate|up|down)_proj"
HEADS = "decisions"  # the module of a model that watches streams
ADAPTABLE = (nn.Linear, nn.Embedding, nn.Conv2d)


def full(vlm: VLM, freeze: list[str] | None = None) -> VLM:
    """Train every parameter but those of the modules in `freeze` (regular expressions of module paths)."""
    vlm = merged(vlm)
    vlm.model.requires_grad_(True)
    for name in _matches(freeze or [], vlm.model, "adapt.freeze"):
        vlm.model.get_submodule(name).requires_grad_(False)
    return replace(vlm, origin=None)  # from the first step on these weights are no longer those on disk


def lora(
    vlm: VLM,
    rank: int = 16,
    alpha: int = 32,
    dropout: float = 0.05,
    targets: list[str] | None = None,
    train: list[str] | None = None,
    seed: int = 0,
) -> VLM:
    """Freeze the model and train low-rank updates of `targets`, and the modules in `train` as a whole.

    Both are regular expressions that must match a module's whole path. An adapter that is already there is merged.
    The heads of a model that watches streams are always trained as a whole.
    """
    if rank < 1:
        raise UserError(f"adapt.rank must be at least 1, not {rank}")
    if vlm.adapter_base:
        log.warning("the model already has an adapter: it is merged into its base, and a new one starts on top")
    vlm = merged(vlm)
    targets = [LANGUAGE_PROJECTIONS] if targets is None else list(targets)
    _check_targets(targets, vlm.model)
    heads = [name for name, _ in vlm.model.named_children() if name == HEADS]
    whole = _outermost([*_matches(list(train or []), vlm.model, "adapt.train"), *heads])
    _check_untied([*_matches(targets, vlm.model, "adapt.targets"), *whole], vlm.model)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules="|".join(f"(?:{target})" for target in targets),
        modules_to_save=whole or None,
    )
    base = (vlm.origin or Base()).hashed()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks the model by a name that is on its way out
        torch.manual_seed(seed)
        return replace(vlm, model=get_peft_model(vlm.model, config), origin=None, adapter_base=base)


def merged(vlm: VLM) -> VLM:
    """The same model with its adapter worked into the weights, as an ordinary model. The adapted one stays as it is."""
    if vlm.adapter_base is None:
        return vlm
    model = copy.deepcopy(vlm.model).merge_and_unload()
    return replace(vlm, model=model, origin=None, adapter_base=None)


def _matches(patterns: list[str], model: PreTrainedModel, key: str) -> list[str]:
    """Paths of the modules that the patterns name. A pattern that names none is a mistake."""
    names = [name for name, _ in model.named_modules() if name]
    found: dict[str, None] = {}
    for pattern in patterns:
        try:
            hits = [name for name in names if re.fullmatch(pattern, name)]
        except re.error as error:
            raise UserError(f"{key}: {pattern!r} is no regular expression: {error}") from error
        if not hits:
            near = ", ".join(_near(pattern, names))
            raise UserError(f"{key}: no module path matches {pattern!r}; near it are: {near}")
        found |= dict.fromkeys(hits)
    return list(found)


def _near(pattern: str, names: list[str]) -> list[str]:
    """Module paths like the pattern, with one entry for all layers of a kind."""
    kinds = list(dict.fromkeys(re.sub(r"\.\d+\.", ".0.", name) for name in names))
    plain = re.sub(r"\\d\+", "0", pattern).replace(".*", "").replace("\\", "")
    last = plain.rsplit(".", 1)[-1]
    ends = {kind.rsplit(".", 1)[-1]: kind for kind in kinds}
    same_end = [ends[end] for end in difflib.get_close_matches(last, ends, n=3, cutoff=0.5)]
    return list(dict.fromkeys([*same_end, *difflib.get_close_matches(plain, kinds, n=4, cutoff=0.0)]))[:5]


def _check_targets(targets: list[str], model: PreTrainedModel) -> None:
    if not targets:
        raise UserError(
            "adapt.targets is empty, so there is nothing to put an adapter on; name layers, or use adapt=full"
        )
    for name in _matches(targets, model, "adapt.targets"):
        module = model.get_submodule(name)
        if name.split(".")[0] == HEADS:
            raise UserError(f"adapt.targets: {name} belongs to the heads, which are trained as a whole; leave it out")
        if not isinstance(module, ADAPTABLE):
            raise UserError(
                f"adapt.targets: {name} is a {type(module).__name__}, which LoRA cannot adapt; let the pattern end at "
                "layers such as (q|k|v|o)_proj"
            )


def _outermost(names: list[str]) -> list[str]:
    return [name for name in names if not any(name.startswith(f"{other}.") for other in names)]


def _check_untied(names: list[str], model: PreTrainedModel) -> None:
    """Input and output embeddings that share their weights cannot be adapted apart: saved, one side would be lost."""
    tied = [name for name in names if name.endswith(("embed_tokens", "lm_head"))]
    if tied and model.config.tie_word_embeddings:
        raise UserError(
            f"adapt: {tied[0]} shares its weights with the other end of the model; leave it out, or adapt=full"
        )
