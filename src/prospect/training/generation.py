"""How completions are generated while a policy learns: `conf/generation/`. Each gives arguments of trl.GRPOConfig."""

from __future__ import annotations

import importlib.util
from typing import Any

from prospect.errors import UserError

REQUIREMENTS = "requirements-vllm.txt"


def hf() -> dict[str, Any]:
    """By transformers, on the model that learns."""
    return {"use_vllm": False}


def vllm_colocate(
    memory: float = 0.3, tensor_parallel: int = 1, max_length: int | None = None, sleep: bool = False
) -> dict[str, Any]:
    """By vLLM beside the model, on the same GPUs."""
    _check("vllm_colocate")
    return {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": memory,
        "vllm_tensor_parallel_size": tensor_parallel,
        "vllm_max_model_length": max_length,
        "vllm_enable_sleep_mode": sleep,
    }


def vllm_server(
    url: str | None = None, host: str = "0.0.0.0", port: int = 8000, group_port: int = 51216, timeout: float = 240.0
) -> dict[str, Any]:
    """By a vLLM server that `trl vllm-serve` has started on GPUs of its own."""
    _check("vllm_server")
    return {
        "use_vllm": True,
        "vllm_mode": "server",
        "vllm_server_base_url": url,
        "vllm_server_host": host,
        "vllm_server_port": port,
        "vllm_group_port": group_port,
        "vllm_server_timeout": timeout,
    }


def _check(option: str) -> None:
    """Before data are read or a model is loaded."""
    if importlib.util.find_spec("vllm") is None:
        raise UserError(f"generation={option} needs vLLM: pip install -r {REQUIREMENTS}, or use generation=hf")
    import torch  # not before the package is there: this is asked first of all

    if not torch.cuda.is_available():
        raise UserError(f"generation={option} needs a GPU, and torch sees none here: use generation=hf")
