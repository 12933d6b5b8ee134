"""What the model makes of a split when every true token before is given: losses, tokens, turns and decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prospect.conversation.segments import CHANNELS
from prospect.training.collate import TARGETS, Collator, Item, moved
from prospect.training.losses import Objective, next_tokens, where_predicted
from prospect.training.processes import gathered, rounds, share, summed


@dataclass
class Decided:
    """One row a decision point of the split: what was right and the logit of yes, of each kind of decision."""

    samples: list[str] = field(default_factory=list)
    kinds: list[tuple[str, ...]] = field(default_factory=list)
    labels: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), bool))
    logits: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.float32))


@dataclass(frozen=True)
class TeacherForced:
    """`losses` by term, each weighted by count over the split; (right, of) tokens and whole turns by channel."""

    loss: float
    losses: dict[str, float]
    tokens: dict[str, tuple[int, int]]
    turns: dict[str, tuple[int, int]]
    decided: Decided

    def metrics(self) -> dict[str, float]:
        """Flat names. What the split has nothing of is left out."""
        tokens = {channel: right / of for channel, (right, of) in self.tokens.items() if of}
        turns = {channel: right / of for channel, (right, of) in self.turns.items() if of}
        right, of = (sum(pair[i] for pair in self.tokens.values()) for i in (0, 1))
        return {
            "loss": self.loss,
            **{f"loss_{term}": value for term, value in self.losses.items()},
            **({"token_accuracy": right / of} if of else {}),
            **({f"{channel}/token_accuracy": value for channel, value in tokens.items()} if len(tokens) > 1 else {}),
            **{f"{channel}/exact": value for channel, value in turns.items()},
        }


@torch.no_grad()
def teacher_forced(
    model: Any, collate: Collator, objective: Objective, items: Sequence[Item], batch_size: int
) -> TeacherForced:
    """Every rank takes its share; all of them know the result. The model is left in the mode it was in."""
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    mine = sorted(share(items), key=lambda item: len(item.encoded))  # like lengths together: little padding
    sums = {name: torch.zeros(2, dtype=torch.float64) for name in objective.pieces}
    tokens, turns = np.zeros((len(CHANNELS), 2), int), np.zeros((len(CHANNELS), 2), int)
    decided: list[tuple] = []
    for part, counts in rounds(items, mine, batch_size):
        batch = moved(collate(part), device)
        outputs = model(**{key: value for key, value in batch.items() if key not in TARGETS}, use_cache=False)
        if not counts:
            continue
        for name, (sum_, count) in objective(outputs, batch).items():
            sums[name] += torch.stack([sum_.double(), count.double()]).cpu()
        _count(outputs.logits, batch, tokens, turns)
        decided += _decided(outputs, batch)
    model.train(was_training)
    return _result(objective, sums, tokens, turns, gathered(decided), device)


def _result(objective: Objective, sums, tokens, turns, decided: list[tuple], device: torch.device) -> TeacherForced:
    totals = summed(torch.stack(list(sums.values())).to(device)).cpu()
    pairs = {name: (pair[0], pair[1]) for name, pair in zip(sums, totals, strict=True)}
    there = {objective.pieces[name].term for name, (_, count) in pairs.items() if count}
    losses = {term: value.item() for term, value in objective.terms(pairs).items() if term in there}
    counted = summed(torch.from_numpy(np.stack([tokens, turns])).to(device)).cpu().numpy()
    by_channel = [{name: (int(r), int(of)) for name, (r, of) in zip(CHANNELS, each, strict=True)} for each in counted]
    return TeacherForced(
        loss=sum(objective.weights[term] * value for term, value in losses.items()),
        losses=losses,
        tokens=by_channel[0],
        turns=by_channel[1],
        decided=Decided(
            [row[0] for row in decided],
            [row[1] for row in decided],
            np.array([row[2] for row in decided], bool).reshape(-1, 2),
            np.array([row[3] for row in decided], np.float32).reshape(-1, 2),
        ),
    )


def _count(logits: Tensor, batch: Mapping[str, Any], tokens: np.ndarray, turns: np.ndarray) -> None:
    """Adds (right, of) by channel: of learnt tokens ranked first, and of turns of which every token is."""
    labels_BT, channels_BT = next_tokens(batch["labels"]), next_tokens(batch["channels"])
    targets, channels = where_predicted(labels_BT, batch), where_predicted(channels_BT, batch)
    rows, columns = torch.meshgrid(*(torch.arange(n) for n in labels_BT.shape), indexing="ij")
    places = torch.stack([rows, columns]).to(targets.device)
    learnt = channels > 0
    row, column = (where_predicted(place, batch)[learnt].cpu().numpy() for place in places)
    channel = channels[learnt].cpu().numpy() - 1
    right = (logits.argmax(-1) == targets)[learnt].cpu().numpy()
    np.add.at(tokens, channel, np.stack([right, np.ones_like(right)], axis=1).astype(int))
    if not len(row):
        return
    # by rows and then columns; a header parts neighbouring turns, so a gap in the columns begins a turn
    starts = np.flatnonzero(np.r_[True, (np.diff(row) != 0) | (np.diff(column) != 1)])
    whole = np.logical_and.reduceat(right, starts)
    np.add.at(turns, channel[starts], np.stack([whole, np.ones_like(whole)], axis=1).astype(int))


def _decided(outputs: Any, batch: Mapping[str, Any]) -> list[tuple]:
    if "decision_points" not in batch or outputs.decisions is None:
        return []
    rows = batch["decision_points"][:, 0].tolist()
    names = [batch["sample_ids"][row] for row in rows]
    labels, logits = batch["decision_labels"].cpu().numpy(), outputs.decisions.float().cpu().numpy()
    return list(zip(names, batch["decision_kinds"], labels, logits, strict=True))
