"""What a stream has in its context: whole turns and frames, in order, and how many of their tokens are in the cache."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from prospect.conversation.dst import State
from prospect.conversation.sample import Role
from prospect.streaming.feeding import Ask, Sight


@dataclass
class Unit:
    """A turn of words, or one frame. `number`: of the frame that it is, stands before or belongs to.

    `state`: what the model itself thought before it.
    """

    role: Role
    ids: list[int]
    number: int
    state: State
    sight: Sight | None = None


class Held:
    """The first unit is the system prompt."""

    def __init__(self, prompt: Unit):
        self.units = [prompt]
        self.total = len(prompt.ids)
        self.fed = 0  # tokens that are in the cache; drops that wait are done by then
        self.drops: list[tuple[int, int]] = []

    def add(self, unit: Unit) -> None:
        self.units.append(unit)
        self.total += len(unit.ids)

    def extend(self, ids: Iterable[int]) -> None:
        """More tokens of the last turn."""
        more = list(ids)
        self.units[-1].ids += more
        self.total += len(more)

    def take_back(self, units: int) -> None:
        """The latest units have not happened yet."""
        if units:
            self.total -= sum(len(unit.ids) for unit in self.units[-units:])
            del self.units[-units:]
            self.fed = min(self.fed, self.total)

    def keep(self, units: list[Unit]) -> None:
        """From now on the context is these; all that isn't where it was is fed again."""
        assert not self.drops, "what moves up and what is fed again don't mix"
        same = 0
        for old, new in zip(self.units, units, strict=False):
            if old is not new:
                break
            same += len(old.ids)
        self.units, self.total = units, sum(len(unit.ids) for unit in units)
        self.fed = min(self.fed, same)

    def drop(self, start: int, stop: int) -> None:
        """Part with units from start to before stop; what is kept behind them moves up and is not fed again."""
        first = sum(len(unit.ids) for unit in self.units[:start])
        count = sum(len(unit.ids) for unit in self.units[start:stop])
        assert start > 0, "the system prompt stays"
        if first + count <= self.fed:
            self.drops.append((first, first + count))
            self.fed -= count
        else:
            self.fed = min(self.fed, first)
        del self.units[start:stop]
        self.total -= count

    def ask(self, next_token: bool = False) -> Ask:
        """All that is not in the cache yet, which is from now on. Decisions are read at the end of each frame in it."""
        fresh, missing = [], self.total - self.fed
        for unit in reversed(self.units):
            if missing <= 0:
                break
            fresh.append(unit)
            missing -= len(unit.ids)
        fresh.reverse()
        ids, decided = [], []
        for unit in fresh:
            ids += unit.ids
            if unit.sight:
                decided.append(len(ids) - 1)
        assert missing == 0 or not fresh[0].sight, "a frame goes in as a whole"
        skipped = -missing
        sights = [unit.sight for unit in fresh if unit.sight]
        ask = Ask(self.fed, ids[skipped:], sights, [at - skipped for at in decided], next_token, tuple(self.drops))
        self.fed, self.drops = self.total, []
        return ask
