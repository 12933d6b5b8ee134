"""Learning from stored features: they must be those of the model at hand, and what made them stays as it is."""

from __future__ import annotations

import logging

from torch.nn import Parameter

from prospect.data.dataset import Dataset
from prospect.data.frames import FeatureStore
from prospect.errors import UserError
from prospect.models.decisions import StreamModel
from prospect.models.features import tower_digest
from prospect.models.vlm import VLM

log = logging.getLogger(__name__)


def check_features(vlm: VLM, data: Dataset) -> None:
    """Stored features that the model's own tower would not make are refused."""
    stores = feature_stores(data)
    has_weights = vlm.device.type != "meta"
    tower = tower_digest(vlm) if stores and has_weights else None
    for store in stores:
        _check_shape(vlm, store)
        if tower:
            _check_tower(store, tower)


def freeze_for_features(vlm: VLM, data: Dataset) -> None:
    """With features no tower is in the graph: its weights would get no gradient, and ranks would wait for one."""
    if not feature_stores(data):
        return
    check_features(vlm, data)
    learnt = learnt_tower(vlm)
    if vlm.adapter_base and learnt:
        raise UserError(
            f"adapt trains {next(iter(learnt))}, and with data.features the tower is not run: take the tower and the "
            "connector out of adapt.targets and adapt.train, or leave out data.features"
        )
    for parameter in learnt.values():
        parameter.requires_grad_(False)
    count = sum(parameter.numel() for parameter in learnt.values())
    told = f", so {count:,} more parameters are not trained" if count else ""
    log.info("features are read (data.features) and no tower is run: vision and connector are frozen%s", told)


def feature_stores(data: Dataset) -> list[FeatureStore]:
    """Every store of features that is read, once."""
    return list(dict.fromkeys(span.features for span in data.streams if isinstance(span.features, FeatureStore)))


def learnt_tower(vlm: VLM) -> dict[str, Parameter]:
    """What is trained of the modules that make frames into features."""
    assert isinstance(vlm.bare, StreamModel), "for_streams comes first"
    inside = tuple(f"{path}." for path in vlm.bare.tower)
    return {name: p for name, p in vlm.bare.named_parameters() if p.requires_grad and name.startswith(inside)}


def _check_shape(vlm: VLM, store: FeatureStore) -> None:
    grid, wanted = store.meta.get("frame_grid"), vlm.bare.config.frame_grid or "native"
    if grid is not None and grid != wanted:
        raise UserError(
            f"{store.path} was made with frame_grid {grid} and the model has {wanted}: "
            f"set model.stream.frame_grid={_typed(grid)}, or encode the frames again for this model"
        )
    shape, width = store.shape, vlm.bare.config.feature_width
    if shape != (vlm.frame_tokens, width):
        raise UserError(
            f"{store.path} has {shape[0]} tokens of {shape[1]} floats a frame and the model {vlm.frame_tokens} of "
            f"{width}: encode the frames again for this model"
        )


def _check_tower(store: FeatureStore, tower: str) -> None:
    found = store.meta.get("tower")
    if found is None:
        raise UserError(f"{store.path} does not say which tower made it: write it with python -m prospect.data.encode")
    if found != tower:
        by = f" ({store.meta['model']})" if "model" in store.meta else ""
        raise UserError(
            f"{store.path} was made by tower {found[:12]}{by} and the model's tower and connector are {tower[:12]}: "
            "they are other weights, or were trained since; encode the frames again for this model, or leave out "
            "data.features"
        )


def _typed(grid: object) -> str:
    return str(grid).replace(" ", "")
