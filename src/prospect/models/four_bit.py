"""Weights of four bits as bitsandbytes holds them: NF4, with its scales in eight bits again."""

from __future__ import annotations

from typing import Any

import torch
from peft import get_peft_model, get_peft_model_state_dict, prepare_model_for_kbit_training, set_peft_model_state_dict
from torch import nn
from transformers import PreTrainedModel

from prospect.models.parts import part_of
from prospect.models.vlm import without_adapters


def held(model: PreTrainedModel, compute: str) -> PreTrainedModel:
    """The layers of tower and language model in four bits, all the rest frozen and in float32, on the GPU if there is
    one. The LM head, the connector and the heads keep their numbers."""
    import bitsandbytes as bnb

    place = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    for name, layer in list(model.named_modules()):
        if type(layer) is not nn.Linear or name == "lm_head" or part_of(f"{name}.weight") not in {"vision", "language"}:
            continue
        new = bnb.nn.Linear4bit(
            layer.in_features,
            layer.out_features,
            bias=layer.bias is not None,
            compute_dtype=getattr(torch, compute),
            quant_type="nf4",
            device="meta",
        )
        # One layer at a time, so that the whole weights need not fit onto the GPU.
        new.weight = bnb.nn.Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4").to(place)
        new.bias = layer.bias
        model.set_submodule(name, new)
    marked: Any = model
    marked.is_loaded_in_4bit = True  # PEFT's mark, and accelerate's
    # The non-reentrant checkpointing of model.gradient_checkpointing needs no help from PEFT.
    return prepare_model_for_kbit_training(marked.to(place), use_gradient_checkpointing=False)


def adapter_on_whole(adapted: Any) -> Any:
    """The adapter in use on the very numbers that the four bits stand for: four bits could not hold the sum."""
    name = adapted.active_adapter
    config, weights = adapted.peft_config[name], get_peft_model_state_dict(adapted, adapter_name=name)
    model = get_peft_model(_whole(without_adapters(adapted)), config, adapter_name=name)
    set_peft_model_state_dict(model, weights, adapter_name=name)
    return model.eval()


def _whole(model: PreTrainedModel) -> PreTrainedModel:
    import bitsandbytes as bnb

    for name, layer in list(model.named_modules()):
        if not isinstance(layer, bnb.nn.Linear4bit):
            continue
        new = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        numbers = bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        new.weight, new.bias = nn.Parameter(numbers.float(), requires_grad=False), layer.bias
        model.set_submodule(name, new)
    marked: Any = model
    marked.is_loaded_in_4bit = False
    return model
