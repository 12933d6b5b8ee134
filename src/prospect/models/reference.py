"""The model that a trained one is measured against: itself, as it was before training."""

from __future__ import annotations

import copy
from dataclasses import replace

from prospect.models.vlm import VLM, without_adapters


def reference(vlm: VLM) -> VLM:
    """The same model as it is now, which stays so while `vlm` is trained. It shares all weights that are not trained.

    A fresh adapter changes nothing yet, so under one this is its base.
    """
    weights = (*vlm.model.parameters(), *vlm.model.buffers())
    shared = {id(weight): weight for weight in weights if not weight.requires_grad}
    model = without_adapters(vlm.model, shared) if vlm.adapter_base else copy.deepcopy(vlm.model, shared)
    return replace(vlm, model=model.requires_grad_(False).eval(), origin=None, adapter_base=None)
