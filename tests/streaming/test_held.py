"""However a context is added to, taken back and shortened: what the cache is told leaves in it just what is held."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.streaming.feeding import Ask
from prospect.streaming.held import Held, Unit


class Sight:
    """Stands for a frame's picture."""


class Cache:
    """A cache of tokens themselves."""

    def __init__(self):
        self.tokens: list[int] = []

    def answer(self, ask: Ask) -> None:
        before = ask.at + sum(stop - start for start, stop in ask.drops)
        assert before <= len(self.tokens)
        del self.tokens[before:]
        for start, stop in ask.drops:
            del self.tokens[start:stop]
        assert len(self.tokens) == ask.at
        assert len(ask.decided) == len(ask.sights)
        assert all(ask.ids[place] < 0 for place in ask.decided), "the last token of a frame"
        self.tokens += ask.ids


def unit(number: int, size: int, frame: bool) -> Unit:
    ids = [100 * number + place for place in range(size)]
    if frame:
        ids[-1] = -number
    return Unit("frames" if frame else "assistant", ids, number, {}, Sight() if frame else None)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_the_cache_holds_what_is_held(data):
    cache, held, number = Cache(), Held(unit(1, data.draw(st.integers(1, 5)), False)), 1
    for _ in range(data.draw(st.integers(1, 12))):
        for _ in range(data.draw(st.integers(0, 4))):
            number += 1
            held.add(unit(number, data.draw(st.integers(1, 4)), data.draw(st.booleans())))
        if not held.units[-1].sight and held.fed < held.total:
            held.extend([7, 8])
        if data.draw(st.booleans()):
            cache.answer(held.ask())
            if len(held.units) > 2 and data.draw(st.booleans()):
                held.take_back(data.draw(st.integers(0, len(held.units) - 1)))
        kept = len(held.units)
        if kept > 3 and not held.drops and data.draw(st.booleans()):
            start = data.draw(st.integers(1, kept - 2))
            stop = data.draw(st.integers(start + 1, kept - 1))
            if data.draw(st.booleans()):
                held.drop(start, stop)
            else:
                held.keep(held.units[:start] + held.units[stop:])
        assert held.total == sum(len(each.ids) for each in held.units)
    held.add(unit(number + 1, 1, True))
    cache.answer(held.ask())
    assert cache.tokens == [token for each in held.units for token in each.ids]


def test_only_what_is_new_goes_in():
    held = Held(unit(1, 3, False))
    assert held.ask().ids == [100, 101, 102]
    held.add(unit(2, 2, True))
    held.add(unit(3, 2, False))
    ask = held.ask(next_token=True)
    assert (ask.at, ask.ids, ask.decided, ask.next_token) == (3, [200, -2, 300, 301], [1], True)
    held.extend([9])
    assert (held.ask().at, held.fed) == (7, 8)
