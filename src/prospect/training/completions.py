"""What a policy says while it learns: completions.jsonl, panels on a person's screen, and groups that teach nothing."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from prospect.training.recorder import forget_after, spelt

log = logging.getLogger(__name__)

FILE = "completions.jsonl"
EVERY = 10.0  # seconds between panels
SHOWN = 4  # completions of a panel
LONGEST = 300  # characters of a text on the screen
FEW = 20  # groups before it is said that most of them teach nothing


@dataclass(frozen=True)
class Completion:
    prompt: str
    text: str
    rewards: dict[str, float]  # of each function; NaN where it gave none
    weights: dict[str, float]
    advantage: float

    @property
    def reward(self) -> float:
        """The weighted sum of what there is; NaN where there is nothing."""
        there = [self.weights[name] * value for name, value in self.rewards.items() if value == value]
        return sum(there) if self.is_rewarded else float("nan")

    @property
    def is_rewarded(self) -> bool:
        return any(value == value for value in self.rewards.values())

    def row(self, step: int) -> dict[str, Any]:
        row = {"step": step, "prompt": self.prompt, "completion": self.text, "reward": self.reward}
        row |= {f"rewards/{name}": value for name, value in self.rewards.items()} | {"advantage": self.advantage}
        return {key: spelt(value) if isinstance(value, float) else value for key, value in row.items()}


class Completions:
    """`heard` takes every generation, `write` keeps the newest one, once, when a line is logged.

    `screen` gives the console of a terminal, where there is one.
    """

    def __init__(self, folder: Path, screen: Callable[[], Console | None], clock: Callable[[], float] = time.monotonic):
        self.path = folder / FILE
        self.screen = screen
        self.clock = clock
        self.newest: list[Completion] = []
        self.size = 1
        self.groups = [0, 0]  # without spread, of how many
        self.lost = 0  # completions without any reward
        self.warned = False
        self.shown_at = float("-inf")

    def begin(self, step: int) -> None:
        """Lines past the step that a resumed run goes on from are dropped."""
        forget_after(self.path, step)

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to know: plain values."""
        return {
            "groups": self.groups,
            "newest": [asdict(each) for each in self.newest],
            "size": self.size,
            "lost": self.lost,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.groups, self.size, self.lost = list(state["groups"]), state["size"], state["lost"]
        self.newest = [Completion(**each) for each in state["newest"]]

    def heard(self, generation: Sequence[Completion], size: int) -> float:
        """The groups in which every completion earned the same: their advantages are 0, so they teach nothing."""
        self.newest, self.size = list(generation), size
        self.lost += sum(not each.is_rewarded for each in generation)
        groups = [generation[start : start + size] for start in range(0, len(generation), size)]
        flat = [group for group in groups if not _spread(group)]
        self.groups = [self.groups[0] + len(flat), self.groups[1] + len(groups)]
        if not self.warned and self.groups[1] >= FEW and self.groups[0] > self.groups[1] / 2:
            self.warned = True
            log.warning("%s: these teach nothing; see rewards and temperature", self.told())
        return len(flat)

    def told(self) -> str:
        flat, of = self.groups
        lost = f", and {self.lost:,} of all completions none at all" if self.lost else ""
        return f"in {flat:,} of {of:,} groups every completion earned the same reward{lost}"

    def write(self, step: int) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(each.row(step), ensure_ascii=False) + "\n" for each in self.newest)
        console = self.screen()
        if console is not None and self.newest and self.clock() - self.shown_at >= EVERY:
            self.shown_at = self.clock()
            console.print(panel(self.newest[: self.size], step))
        self.newest = []


def _spread(group: Sequence[Completion]) -> bool:
    known = {each.reward for each in group if each.is_rewarded}
    return len(known) > 1


def panel(group: Sequence[Completion], step: int) -> Panel:
    """One prompt with the best of what was said to it. Text, not str: it may hold what rich takes for markup."""
    best = sorted(group, key=lambda each: each.advantage, reverse=True)
    said = [Text(cut(group[0].prompt), style="bold")]
    for each in best[:SHOWN]:
        parts = "  ".join(f"{name} {value:.2g}" for name, value in each.rewards.items())
        said += [Text(cut(each.text)), Text(f"  reward {each.reward:.3g}  ({parts})", style="dim")]
    more = f", {len(group) - SHOWN} more" if len(group) > SHOWN else ""
    return Panel(Group(*said), title=f"step {step}: {len(group)} completions{more}", title_align="left")


def cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
