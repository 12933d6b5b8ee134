"""The right name nearest to what somebody typed."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

HABITS = {  # what people are used to from other programs
    "lr": "learning_rate",
    "epochs": "num_train_epochs",
    "steps": "max_steps",
    "batch_size": "per_device_train_batch_size",
    "grad_accum": "gradient_accumulation_steps",
    "wd": "weight_decay",
}


def nearest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    """The name most like it: a slip, another case, another custom, a part of a longer name. "" if there is none."""
    spelt = {_plain(other): other for other in names}
    typed = _plain(name)
    if close := get_close_matches(typed, spelt, n=1, cutoff=cutoff):
        return spelt[close[0]]
    if HABITS.get(typed) in spelt:
        return spelt[HABITS[typed]]
    longer = [other for other in spelt if len(typed) >= 4 and typed in other]
    return spelt[min(longer, key=len)] if longer else ""


def nearest_path(path: str, siblings: Iterable[str], everywhere: Iterable[str]) -> str:
    """The dotted key that was meant: a sibling of the same level, or the key of that name on another level."""
    parent, _, name = path.rpartition(".")
    prefix = parent + "." if parent else ""
    beside = nearest(name, siblings)
    if beside and _alike(name, beside) >= 0.8:
        return prefix + beside
    everywhere = sorted(set(everywhere), key=lambda other: (other.count("."), other))
    same = [other for other in everywhere if other.rpartition(".")[2] == name]
    if same:
        return max(same, key=lambda other: SequenceMatcher(None, path, other).ratio())
    if beside:
        return prefix + beside
    leaves = {other.rpartition(".")[2]: other for other in reversed(everywhere)}
    return leaves.get(nearest(name, leaves, cutoff=0.7), "")


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _alike(a: str, b: str) -> float:
    return SequenceMatcher(None, _plain(a), _plain(b)).ratio()
