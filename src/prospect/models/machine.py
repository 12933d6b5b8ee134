"""What an adaptation needs of this machine: said before any data is read or any weight is fetched."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from prospect.errors import UserError

FOUR_BITS = "prospect.models.adapt.qlora"
PACKAGE = "bitsandbytes"


def check_machine(adapt: Mapping[str, Any]) -> None:
    if adapt["_target_"] == FOUR_BITS:
        check_four_bits()


def check_four_bits() -> None:
    if importlib.util.find_spec(PACKAGE) is None:
        raise UserError(f"adapt=qlora needs the package {PACKAGE}: pip install 'prospect[qlora]', or use adapt=lora")
    import torch  # not before the package is there: this is asked first of all

    if not torch.cuda.is_available():
        raise UserError("adapt=qlora needs a GPU, and torch sees none here: use adapt=lora")
