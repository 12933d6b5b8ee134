"""Free answers of a split compared with what was truly answered: to every question of a user, or to the last one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from prospect.conversation.sample import Sample
from prospect.data.dataset import Dataset
from prospect.evaluation.answers import answers, budget
from prospect.evaluation.by_user import by_user, pooled, rates
from prospect.evaluation.classified import add_thumbnails
from prospect.evaluation.matching import Match, match, point_of
from prospect.evaluation.scored import Scored
from prospect.models.vlm import VLM
from prospect.training.teacher_forced import TeacherForced


def score(vlm: VLM, data: Dataset, split: str, batch_size: int = 32) -> Scored:
    asked = [part for sample in data.splits[split] for part in (questions(sample) if data.by_user else [sample])]
    texts = answers(vlm, asked, batch_size, budget(vlm, asked))
    matches = [match(text, part.turns[-1].text) for text, part in zip(texts, asked, strict=True)]
    metrics = (_by_user if data.by_user else _one_by_one)(asked, matches, data.radius)
    metrics |= _kinds(asked, matches, data.radius)
    rows = [_row(*each, data.radius) for each in zip(asked, texts, matches, strict=True)]
    add_thumbnails(rows, asked)
    shown = ("exact", "normalised", *(name for name in ("click/accuracy",) if name in metrics))
    return Scored(metrics, shown, rows)


def _by_user(asked: Sequence[Sample], matches: Sequence[Match], radius: float) -> dict[str, float]:
    users: dict[int, list[Match]] = defaultdict(list)
    for part, one in zip(asked, matches, strict=True):
        users[part.meta["user"]].append(one)
    metrics = pooled(users, radius)
    for user, found in by_user(users, radius).items():
        metrics |= {f"user/{user}/{name}": value for name, value in found.items()}
    return metrics


def _one_by_one(asked: Sequence[Sample], matches: Sequence[Match], radius: float) -> dict[str, float]:
    """Every conversation is a user of its own, so that the intervals are over conversations."""
    found = pooled({number: [one] for number, one in enumerate(matches)}, radius)
    return {name: value for name, value in found.items() if name != "users" and not name.endswith("_macro")}


def progress(seen: TeacherForced) -> dict[str, float]:
    """For evaluation during training. Greedy decoding writes the truth just where its every token ranks first."""
    right, of = seen.turns["answer"]
    return {"exact": right / of} if of else {}


def questions(sample: Sample) -> list[Sample]:
    """The conversation up to each of its answers: what was said before is the truth, not the model's own."""
    ends = [place for place, turn in enumerate(sample.turns) if turn.role == "assistant" and turn.learn]
    if len(ends) == 1:
        return [replace(sample, turns=sample.turns[: ends[0] + 1])]
    return [replace(sample, id=f"{sample.id}#{n}", turns=sample.turns[: end + 1]) for n, end in enumerate(ends, 1)]


def _kinds(asked: Sequence[Sample], matches: Sequence[Match], radius: float) -> dict[str, float]:
    """Rates of each kind of answer, where the data tell kinds apart."""
    kinds: dict[str, list[Match]] = defaultdict(list)
    for part, one in zip(asked, matches, strict=True):
        if part.turns[-1].kind:
            kinds[part.turns[-1].kind].append(one)
    return {f"kind/{kind}/{k}": v for kind in sorted(kinds) for k, v in rates(kinds[kind], radius).items()}


def _row(part: Sample, text: str, one: Match, radius: float) -> dict[str, Any]:
    """`correct`: the click counts where there is one to make, else the words do."""
    truth = part.turns[-1]
    row = {"id": part.id, **_owner(part), "label": truth.text, "prediction": text, "text": text}
    row |= {"kind": truth.kind} if truth.kind else {}
    row |= {"correct": one.normalised, "exact": one.exact}
    shares = {"exact": [int(one.exact), 1], "normalised": [int(one.normalised), 1]}
    if one.has_point:
        hit = one.distance is not None and one.distance <= radius
        row |= {"correct": hit, "point": point_of(text), "distance": one.distance}
        shares["click/accuracy"] = [int(hit), 1]
    return row | {"shares": shares}  # what this answer adds to the headlines


def _owner(part: Sample) -> dict[str, Any]:
    return {"user": part.meta["user"]} if "user" in part.meta else {}
