"""FSDP2 by way of transformers and accelerate: parameters, gradients and optimizer state are spread over all processes.

What holds here was tested with two processes on the CPU (gloo), with accelerate made to shard there too. Nothing of it
was run on several GPUs: neither NCCL, nor memory, nor speed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.tensor import DTensor
from transformers import TrainingArguments
from transformers.modeling_layers import GradientCheckpointingLayer

from prospect.errors import UserError
from prospect.models.vlm import VLM

CLASSES = "transformer_layer_cls_to_wrap"


def check(settings: TrainingArguments, vlm: VLM, optimizer: str) -> None:
    """Refuse what transformers would take without a word, or would stumble over after the first step."""
    if not settings.fsdp:
        return
    config: dict[str, Any] = settings.fsdp_config  # type: ignore[assignment]
    if int(config.get("version", 2)) != 2:
        raise UserError(f"trainer.args.fsdp_config.version={config['version']}: only 2 is supported")
    for option, instead in REFUSED.items():
        if config.get(option):
            raise UserError(f"trainer.args.fsdp_config.{option} is not supported here: {instead}")
    if optimizer == "muon":
        # Nor does torch's Muon on shards take the step that it takes on whole matrices.
        raise UserError(
            "trainer.optimizer=muon cannot be combined with trainer.args.fsdp: a sharded optimizer state is saved by "
            "parameter, which its two parts do not allow; use trainer.optimizer=adamw"
        )
    if vlm.adapter_base and vlm.adapter_base.four_bit:
        raise UserError("adapt=qlora with trainer.args.fsdp: weights of four bits are not sharded here; use adapt=lora")
    if vlm.adapter_base and vlm.adapter_base.source is None:
        raise UserError(
            "adapt=lora with trainer.args.fsdp: the weights under the adapter lie in no folder and would have to "
            "travel with each checkpoint; save the model first and give it as model.path"
        )
    _check_classes(config.get(CLASSES), vlm.model)
    _check_processes(settings)


REFUSED = {
    "activation_checkpointing": "it would draw an adapter's dropout anew; use model.gradient_checkpointing=true",
    "cpu_offload": "inputs follow the parameters' device; use more processes",
    "cpu_ram_efficient_loading": "every process brings the weights itself; leave it out",
    "xla": "FSDP2 is torch's own; leave it out",
}


def layers(args: Callable[..., TrainingArguments], vlm: VLM) -> dict[str, Any]:
    """fsdp_config with the classes of the model's own layers, where the user names none; nothing without FSDP.

    Its `_no_split_modules` won't do: SmolVLM's name no layer of its tower.
    """
    given = args.keywords if isinstance(args, functools.partial) else {}
    config = given.get("fsdp_config")
    if not given.get("fsdp") or not isinstance(config, Mapping) or config.get(CLASSES) is not None:
        return {}
    return {"fsdp_config": {**config, CLASSES: layers_of(vlm.model)}}


def layers_of(model: nn.Module) -> list[str]:
    """The classes of a model's repeated layers: those whose activations transformers can recompute one by one."""
    return sorted(
        {type(module).__name__ for module in model.modules() if isinstance(module, GradientCheckpointingLayer)}
    )


def _check_classes(names: list[str] | None, model: nn.Module) -> None:
    there = {type(module).__name__ for module in model.modules()}
    key = f"trainer.args.fsdp_config.{CLASSES}"
    layers = ", ".join(layers_of(model))
    if not names:
        raise UserError(f"{key} is empty; name the model's layers, {layers}, or leave it out")
    if missing := [name for name in names if name not in there]:
        raise UserError(f"{key}: the model has no {missing[0]}; its layers are {layers}")


def _check_processes(settings: TrainingArguments) -> None:
    if settings.world_size == 1:
        raise UserError(
            "trainer.args.fsdp on a single process: start one a GPU with torchrun --nproc-per-node=N train.py …, or "
            "leave trainer.args.fsdp out"
        )
    if settings.device.type == "cpu":
        raise UserError(
            "trainer.args.fsdp without a GPU for every process: transformers would train with whole copies of the "
            "model instead (model.device must be auto or cuda)"
        )


def reduce_in_float32(accelerator: Accelerator) -> None:
    """accelerate would average gradients in the type of the computation, and round the decisions to it as well."""
    plugin = accelerator.state.fsdp_plugin
    if plugin.mixed_precision_policy is not None:
        plugin.mixed_precision_policy = replace(
            plugin.mixed_precision_policy, reduce_dtype=torch.float32, output_dtype=None
        )


def check_sharded(model: nn.Module) -> None:
    """After the model was prepared."""
    if whole := [name for name, parameter in model.named_parameters() if not isinstance(parameter, DTensor)]:
        raise UserError(
            f"trainer.args.fsdp was asked for, but {len(whole)} parameters are whole on every process, "
            f"{whole[0]} for one; does accelerate see a GPU for each process?"
        )


def whole_weights(model: nn.Module) -> dict[str, Tensor]:
    """The state dict in full, on the CPU of the main process; empty on the others. All processes must call it."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state = cast(dict[str, Tensor], get_model_state_dict(model, options=options))
    first: dict[nn.Parameter, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if first.setdefault(parameter, name) != name and state:
            state[name] = state[first[parameter]]  # gathered twice, tied weights would be written twice
    return state
