"""Splits, scored by what their data are for. Training, `evaluate.py` and zero-shot all come here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from prospect.data.dataset import Dataset
from prospect.evaluation import answered, classified, pairs, questioned, watched
from prospect.evaluation.scored import Scored
from prospect.evaluation.streamed import Watch
from prospect.evaluation.thresholds import CHOSEN_ON
from prospect.models.vlm import VLM
from prospect.training.losses import Objective
from prospect.training.preferred import Reference
from prospect.training.teacher_forced import TeacherForced

log = logging.getLogger(__name__)


def score(
    vlm: VLM,
    data: Dataset,
    splits: Sequence[str],
    objective: Objective,
    batch_size: int = 32,
    max_length: int | None = None,
    watch: Watch | None = None,
    reference: Reference | None = None,
) -> dict[str, Scored]:
    """Each of the splits that has samples. Streams are scored with the truth given before, and watched freely.

    `reference`: what pairs of answers are measured against.
    """
    there = [split for split in splits if data.splits[split]]
    for split in splits:
        if split not in there:
            log.warning("%s has no samples: it is not scored", split)
    if data.task == "stream":
        if there and not data.splits[CHOSEN_ON]:
            log.warning("%s has no samples: thresholds of decisions are one half", CHOSEN_ON)
        return watched.scores(vlm, data, there, objective, batch_size, max_length, watch)
    if data.task == "answers":
        return {split: answered.score(vlm, data, split, batch_size) for split in there}
    if data.task == "questions":
        return {split: questioned.score(vlm, data, split, batch_size) for split in there}
    if data.task == "prompts":
        log.warning("%s has prompts without answers: rewards alone tell how good they are met", data.name)
        return {}
    if data.task == "preferences":
        return {split: pairs.score(vlm, data, split, batch_size, reference, max_length) for split in there}
    return {split: classified.score(vlm, data, split, batch_size) for split in there}


def progress(vlm: VLM, data: Dataset) -> Callable[[TeacherForced], dict[str, float]]:
    """The headline numbers of the val split, for evaluation during training."""
    if data.task == "stream":
        return watched.progress
    if data.task in ("answers", "preferences"):
        return answered.progress
    if data.task == "questions":
        return lambda seen: questioned.progress(vlm, data, "val")
    if data.task == "prompts":
        return lambda seen: {}
    return lambda seen: classified.accuracy(vlm, data, "val")
