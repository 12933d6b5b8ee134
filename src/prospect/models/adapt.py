"""What is trained: the whole model, or a LoRA adapter on layers named by their module path."""

from __future__ import annotations

import copy
import logging
import re
import warnings
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from prospect.errors import UserError
from prospect.models import four_bit
from prospect.models.base import INSIDE, UNNAMED, Base
from prospect.models.machine import check_four_bits
from prospect.models.patterns import HEADS, check_apart, check_untied, matches, outermost, ranked, targeted
from prospect.models.vlm import VLM

log = logging.getLogger(__name__)

# A bare `q_proj` would hit the vision tower as well, which has layers of the same names.
LANGUAGE_PROJECTIONS = r"model\.(text_model|language_model)\..*\.(q|k|v|o|gate|up|down)_proj"


def full(vlm: VLM, freeze: list[str] | None = None) -> VLM:
    """Train every parameter but those of `freeze`: names of parts, or regular expressions of module paths."""
    vlm = merged(vlm)
    vlm.model.requires_grad_(True)
    for name in matches(freeze or [], vlm.model, "adapt.freeze"):
        vlm.model.get_submodule(name).requires_grad_(False)
    if not any(parameter.requires_grad for parameter in vlm.model.parameters()):
        raise UserError("adapt.freeze names the whole model, so there is nothing left to train")
    return replace(vlm, origin=None)  # from the first step on these weights are no longer those on disk


def lora(
    vlm: VLM,
    rank: int = 16,
    alpha: int = 32,
    dropout: float = 0.05,
    targets: list[str] | None = None,
    train: list[str] | None = None,
    ranks: dict[str, int] | None = None,
    name: str | None = None,
    seed: int = 0,
) -> VLM:
    """Freeze the model and train low-rank updates of `targets`, and the modules in `train` as a whole.

    Regular expressions must match a module's whole path. The heads of a model that watches streams are always trained
    as a whole. With a `name` the adapter stands beside those that are already there, on the same base; without one,
    the adapter in use is merged and the new one starts on top.
    """
    vlm = _beside(vlm, name) if name else _merged_with_a_word(vlm)
    wishes = _Wishes(rank, alpha, dropout, targets, train, ranks)
    return _adapted(vlm, wishes.config(vlm), name or UNNAMED, seed)


def qlora(
    vlm: VLM,
    rank: int = 16,
    alpha: int = 32,
    dropout: float = 0.05,
    targets: list[str] | None = None,
    train: list[str] | None = None,
    ranks: dict[str, int] | None = None,
    name: str | None = None,
    compute: Literal["bfloat16", "float16", "float32"] = "bfloat16",
    seed: int = 0,
) -> VLM:
    """As `lora`, on a base whose tower and language model are held in four bits.

    What is not held in four bits, and all that is trained, is float32; four-bit layers compute in `compute`.
    """
    check_four_bits()
    vlm = _beside(vlm, name) if name else _merged_with_a_word(vlm)
    wishes = _Wishes(rank, alpha, dropout, targets, train, ranks)
    config = wishes.config(vlm)
    if vlm.adapter_base is None:
        vlm = _in_four_bits(vlm, compute)
    elif vlm.adapter_base.four_bit != compute:
        held = vlm.adapter_base.four_bit or "whole numbers"
        raise UserError(f"adapt.compute={compute}: the adapters already there stand on a base in {held}")
    return _adapted(vlm, config, name or UNNAMED, seed)


def merged(vlm: VLM) -> VLM:
    """The same model with its adapter in use worked into the weights, as an ordinary model. The adapted one stays."""
    if vlm.adapter_base is None:
        return vlm
    model = copy.deepcopy(vlm.model)
    if vlm.adapter_base.four_bit:
        model = four_bit.adapter_on_whole(model)
    return replace(vlm, model=model.merge_and_unload(), origin=None, adapter_base=None)


@dataclass(frozen=True)
class _Wishes:
    """What the user asks of an adapter."""

    rank: int
    alpha: int
    dropout: float
    targets: list[str] | None
    train: list[str] | None
    ranks: dict[str, int] | None

    def config(self, vlm: VLM) -> LoraConfig:
        ranks = dict(self.ranks or {})
        for key, rank in {"adapt.rank": self.rank, **{f"adapt.ranks.{name}": r for name, r in ranks.items()}}.items():
            if rank < 1:
                raise UserError(f"{key} must be at least 1, not {rank}")
        targets = [LANGUAGE_PROJECTIONS] if self.targets is None else list(self.targets)
        found = targeted(targets, vlm.bare)
        heads = [name for name, _ in vlm.bare.named_children() if name == HEADS]
        whole = outermost(list(dict.fromkeys([*matches(self.train or [], vlm.bare, "adapt.train"), *heads])))
        check_apart(found, whole)
        check_untied([*found, *whole], vlm.bare)
        own = {re.escape(name): rank for name, rank in ranked(ranks, found).items()}
        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules="|".join(f"(?:{target})" for target in targets),
            modules_to_save=whole or None,
            rank_pattern=own,
            alpha_pattern={name: rank * self.alpha / self.rank for name, rank in own.items()},  # of the same strength
        )


def _adapted(vlm: VLM, config: LoraConfig, name: str, seed: int) -> VLM:
    base = vlm.adapter_base or (vlm.origin or Base()).hashed()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks the model by a name that is on its way out
        torch.manual_seed(seed)
        model: Any = vlm.model
        if vlm.adapter_base:
            model.add_adapter(name, config)
            model.set_adapter(name)
        else:
            model = get_peft_model(model, config, adapter_name=name)
    return replace(vlm, model=model, origin=None, adapter_base=base)


def _merged_with_a_word(vlm: VLM) -> VLM:
    if vlm.adapter_base:
        log.warning(
            "the model already has an adapter: it is merged into its base, and a new one starts on top; with "
            "adapt.name=NAME it would stand beside, on the same base"
        )
    return merged(vlm)


def _beside(vlm: VLM, name: str) -> VLM:
    if name in vlm.adapters:
        raise UserError(f"adapt.name={name}: the model has an adapter of this name already; give another")
    if not re.fullmatch(r"[A-Za-z][\w-]*", name) or name in {INSIDE, UNNAMED, *_words(vlm.bare)}:
        raise UserError(
            f"adapt.name={name}: a letter, then letters, digits, _ and -, and no name of a module, such as user-11"
        )
    return vlm


def _words(model: nn.Module) -> set[str]:
    """An adapter's name becomes a part of parameters' names, where these must not be taken for it."""
    of_adapters = {"base_layer", "lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B", "modules_to_save"}
    return of_adapters | {word for name, _ in model.named_parameters() for word in name.split(".")}


def _in_four_bits(vlm: VLM, compute: Literal["bfloat16", "float16", "float32"]) -> VLM:
    if vlm.origin is None:
        raise UserError(
            "adapt=qlora: the weights under the adapter lie in no folder, and four bits of them are all that could be "
            "saved; save the model first (python -m prospect.models.export) and give it as model.path"
        )
    return replace(vlm, model=four_bit.held(vlm.model, compute), origin=replace(vlm.origin.hashed(), four_bit=compute))
