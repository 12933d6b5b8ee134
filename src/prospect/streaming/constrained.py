"""Updates that can only be legal: which tokens may come next, given the state and what is written so far.

An update is a sequence of transitions, each legal in the state that those before it leave. The candidates are ids and
actions alone; what steps are called never enters.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from prospect.conversation.dst import State, Transition, applied, legal, said

Spell = Callable[[str], tuple[int, ...]]  # the ids of a text behind a header, or behind what ends in a letter


class LegalUpdate:
    """One update as it is written, `lead` first. `end` may come behind any whole transition, never before the first."""

    def __init__(self, spell: Spell, end: int, state: State, lead: str):
        self.spell, self.end, self.state, self.lead = lru_cache(maxsize=None)(spell), end, state, lead
        self.whole: list[Transition] = []
        self.part: list[int] = []  # of the transition that is being written
        self.options = self._options()

    def allowed(self, left: int) -> set[int]:
        """Ids that may come next, when so many may still be written: what is begun can always be finished."""
        at = len(self.part)
        if at == 0 and self.whole:
            longest = max((len(ids) for ids in self.options), default=0)
            return {self.end} | ({ids[0] for ids in self.options} if longest <= left else set())
        return {ids[at] for ids in self.options if ids[:at] == tuple(self.part)}

    def write(self, token: int) -> None:
        self.part.append(token)
        if (found := self.options.get(tuple(self.part))) is not None:
            self.whole.append(found)
            self.state = applied(self.state, [found])
            self.part, self.options = [], self._options()

    def _options(self) -> dict[tuple[int, ...], Transition]:
        """What each next transition is written as: never the beginning of another, since its action ends it."""
        lead = ", " if self.whole else self.lead
        return {self.spell(lead + said([transition])): transition for transition in legal(self.state)}
