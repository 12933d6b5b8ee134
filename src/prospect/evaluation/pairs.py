"""A split of pairs of answers: which one is preferred, and what the model says itself, before training and after."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from prospect.conversation.preference import rejected
from prospect.conversation.sample import Picture, Sample
from prospect.data.dataset import Dataset
from prospect.evaluation.answers import answers, budget
from prospect.evaluation.classified import add_thumbnails
from prospect.evaluation.pooling import DRAWS, drawn, interval
from prospect.evaluation.scored import Scored
from prospect.models.vlm import VLM
from prospect.training.preferred import Preferred, Reference, encoded_pairs, preferred


def score(
    vlm: VLM,
    data: Dataset,
    split: str,
    batch_size: int = 32,
    reference: Reference | None = None,
    max_length: int | None = None,
) -> Scored:
    """`preference_accuracy`, `preference_margin` and `preference_likelier`: see training/preferred.py.

    Accuracy and margin measure what training has changed, so without a reference there are none; at the start, where
    policy and reference are the same, they are ½ and 0. `preference_likelier` is what the model itself finds likelier,
    before training as after it.
    """
    samples = data.splits[split]
    items = encoded_pairs(vlm, samples, f"{data.name}/{split}", max_length)
    policy, tokens = preferred(vlm, items, batch_size), budget(vlm, [*samples, *map(rejected, samples)])
    seen, before = Preferred(policy), None
    if reference:
        seen = Preferred(policy, preferred(reference.vlm, items, batch_size), reference.beta)
        before = answers(reference.vlm, samples, batch_size, tokens)
    after = answers(vlm, samples, batch_size, tokens)
    columns = seen.columns()
    rows = [_row(place, sample, after, before, columns) for place, sample in enumerate(samples)]
    add_thumbnails(rows, samples)
    shown = tuple(
        name for name in ("preference_accuracy", "preference_likelier_before", "preference_likelier") if name in columns
    )
    return Scored({"samples": len(samples), **rates(columns, samples)}, shown, rows)


def rates(columns: Mapping[str, np.ndarray], samples: Sequence[Sample], draws: int = DRAWS, seed: int = 0) -> dict:
    """Means over pairs. Draws of whole pictures, which pairs may share, lie to 95 % between `_low` and `_high`."""
    owner = _owners(samples)
    chosen = drawn(owner.max() + 1, draws, seed)  # (draws, owners)
    of = chosen @ np.bincount(owner)
    found: dict[str, float] = {}
    for name, values in columns.items():
        found[name] = float(values.mean())
        found[f"{name}_low"], found[f"{name}_high"] = interval(chosen @ np.bincount(owner, values) / of)
    return found


def _owners(samples: Sequence[Sample]) -> np.ndarray:
    """A number for each sample, the same where the pictures are; words alone stand for themselves."""
    shown = [tuple(_known(picture) for picture in sample.pictures) or sample.id for sample in samples]
    number = {key: place for place, key in enumerate(dict.fromkeys(shown))}
    return np.array([number[key] for key in shown])


def _known(picture: Picture) -> Hashable:
    return id(picture.source) if isinstance(picture.source, Image.Image) else picture.source


def _row(
    place: int, sample: Sample, after: Sequence[str], before: Sequence[str] | None, columns: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """`correct`: the preferred answer has the higher reward; without a reference, it is likelier."""
    numbers = {name: float(values[place]) for name, values in columns.items()}
    right = numbers.get("preference_accuracy", numbers["preference_likelier"])
    row = {
        "id": sample.id,
        "question": next((turn.text for turn in reversed(sample.turns) if turn.role == "user"), ""),
        "label": sample.turns[-1].text,
        "rejected": sample.meta["rejected"],
        "prediction": after[place],
        "text": after[place],
        "before": before[place] if before else None,
        "correct": right > 0.5,
    }
    shares = {name: [value, 1] for name, value in numbers.items()}
    return row | {"margin": numbers.get("preference_margin"), "shares": shares}  # what this pair adds to the headlines
