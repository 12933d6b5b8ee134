"""How a model watches streams: its settings, their record beside an adapter, and the class that watches with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import safe_open
from transformers import PreTrainedModel

from prospect.errors import UserError
from prospect.models.decisions import StreamModel
from prospect.models.family import family_of

RECORD = "stream.json"  # beside an adapter: what its base must become before the adapter fits


@dataclass(frozen=True)
class StreamSettings:
    """How a model sees frames and decides at them. `head` is the shape of the binary heads."""

    heads: Literal["binary", "token", "none"] = "binary"
    head: Literal["linear", "mlp"] = "linear"
    frame_grid: list[int] | Literal["native"] = field(default_factory=lambda: [1])

    @property
    def edges(self) -> list[int] | None:
        """The grid as a model's configuration has it."""
        return None if self.frame_grid == "native" else list(self.frame_grid)


def settings_of(config: Any) -> StreamSettings:
    return StreamSettings(config.heads, config.head, "native" if config.frame_grid is None else config.frame_grid)


def write_record(config: Any, adapter: Path) -> None:
    (adapter / RECORD).write_text(json.dumps(_record(config), indent=2) + "\n")


def fitted(base: PreTrainedModel, adapter: Path, folders: Sequence[Path]) -> PreTrainedModel:
    """The base of the adapters in `folders` as they knew it: made to watch streams, if it was."""
    if not (adapter / RECORD).is_file():
        return base
    record = json.loads((adapter / RECORD).read_text())
    if not isinstance(base, StreamModel):
        base = watching(base, record, seed=0)  # the adapter brings its own heads, whole
    if _record(base.config) != record:
        raise UserError(f"{adapter}: its base watches streams with {_record(base.config)}, the adapter with {record}")
    for folder in folders:
        with safe_open(folder / "adapter_model.safetensors", "pt") as weights:
            names = list(weights.keys())
        if record["heads"] != "none" and not any(".decisions." in name for name in names):
            raise UserError(f"{folder}: the adapter lacks the weights of its heads ({record['heads']})")
    return base


def _record(config: Any) -> dict[str, Any]:
    """The fields that a family's configuration of streams has beside those of its plain one."""
    return {name: getattr(config, name) for name in type(config).STREAM}


def watching(plain: PreTrainedModel, record: dict[str, Any], seed: int) -> PreTrainedModel:
    """A plain model's modules in the class for streams: nothing is copied but the configuration."""
    values = {name: value for name, value in plain.config.to_dict().items() if name != "model_type"}
    kind = family_of(plain.config).watching
    config = kind.config_class(**{**values, **record, "architectures": None})
    for name in plain.config.sub_configs:  # the very objects, which the modules hold too
        setattr(config, name, getattr(plain.config, name))
    with torch.device("meta"):
        model: Any = kind._from_config(config, dtype=plain.dtype, attn_implementation=plain.config._attn_implementation)
    heads = model.decisions if config.heads != "none" else None
    for name, child in plain.named_children():
        setattr(model, name, child)
    for module in model.modules():
        if isinstance(module, PreTrainedModel) and module.config is plain.config:
            module.config = model.config
    if heads is not None:
        model.decisions = _sown(model, heads, plain.device, seed)
    model.generation_config = plain.generation_config
    return model.train(plain.training)


def _sown(model: Any, heads: torch.nn.Module, device: torch.device, seed: int) -> torch.nn.Module:
    """Heads with the same numbers on every device."""
    if device.type == "meta":
        return heads
    heads = heads.to_empty(device="cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in [*heads.children(), heads]:
            model._init_weights(module)
    return heads.to(device)
