"""A stream that is too long for the model becomes several samples: cut at whole turns, or else at whole frames.

Every part begins with the system prompt and what is known by then, goes on with some seconds of context, which is read
and not learnt again, and then teaches what no other part teaches:

    System: … State: S1:completed    the state before the first frame that this part shows
    User: which one next?            context: asked before that frame and not answered by then
    frames, transitions, utterances  context
    frames, transitions, utterances  learnt, here and nowhere else
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, groupby, takewhile

from prospect.conversation.dst import IllegalTransition, State, applied
from prospect.conversation.sample import Sample, Turn
from prospect.errors import UserError

Length = Callable[[Sample], int]  # a sample's tokens, as the model will read them


def split(sample: Sample, limit: int, length: Length, overlap: float = 10.0) -> list[Sample]:
    """The sample itself if it fits into `limit` tokens, else its parts, `ID#1`, `ID#2`, …, each of which does.

    Every event is learnt and every frame decided in exactly one part. `overlap` is the context in seconds; there is
    less of it where it would take more than half of a part, or the place of what must be learnt next.
    """
    if overlap < 0:
        raise UserError(f"an overlap of {overlap} seconds: it cannot be negative")
    tokens = length(sample)
    if tokens <= limit:
        return [sample]
    if not sample.frames:
        raise UserError(f"sample {sample.id} takes {tokens} tokens and the limit is {limit}; only streams can be split")
    stream = _Stream(sample, limit, length, overlap)
    parts: list[Sample] = []
    first = 0
    while first < len(stream.moments):
        part, first = stream.part_from(first)
        parts.append(replace(part, id=f"{sample.id}#{len(parts) + 1}"))
    return parts


@dataclass(frozen=True)
class _Moment:
    """One frame and what must not be parted from it: what was said before it, and what happens at it."""

    place: int  # of its turn in the sample, as are all of `before` and `after`
    frame: int
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    @property
    def texts(self) -> tuple[int, ...]:
        return self.before + self.after


def _moments(turns: tuple[Turn, ...], begin: int) -> Iterator[_Moment]:
    """The moments of the turns from `begin` on, in order; every turn is in one, a turn `frames` in each of its own."""
    places = [place for place, turn in enumerate(turns) if turn.role == "frames"]
    for place, following in zip(places, [*places[1:], None], strict=True):
        frames, end = turns[place].frames, len(turns)  # what stands behind the last frame has none else to go with
        if following is not None:
            end = next(later for later in range(place + 1, end) if turns[later].role not in ("dst", "assistant"))
        assert len(frames), "a turn of frames has some"
        for frame in range(frames.start, frames.stop):
            before = range(begin, place) if frame == frames.start else ()
            after = range(place + 1, end) if frame == frames.stop - 1 else ()
            yield _Moment(place, frame, tuple(before), tuple(after))
        begin = end


@dataclass(frozen=True)
class _Stream:
    """A stream as moments, by number: a part shows those from `start` to before `stop`, and learns them from `first`.

    Turns add up, but for a token or so where they meet. So each is measured once, parts are planned with sums, and
    measured when they are made.
    """

    sample: Sample
    limit: int
    length: Length
    overlap: float

    @cached_property
    def prompt(self) -> tuple[Turn, ...]:
        return tuple(takewhile(lambda turn: turn.role == "system", self.sample.turns))

    @cached_property
    def moments(self) -> list[_Moment]:
        return list(_moments(self.sample.turns, len(self.prompt)))

    @cached_property
    def costs(self) -> list[int]:
        """The tokens of each turn by its place; of a turn `frames`, those of one frame, the same for all."""
        seen = self.sample.frames[0]
        frame = Turn("frames", (seen.part(seen.start, seen.start + 1),))
        nothing = self.length(replace(self.sample, turns=()))
        frame_cost = self.length(replace(self.sample, turns=(frame,))) - nothing
        return [
            frame_cost if turn.role == "frames" else self.length(replace(self.sample, turns=(turn,))) - nothing
            for turn in self.sample.turns
        ]

    @cached_property
    def sums(self) -> list[int]:
        """sums[stop] - sums[start] are the tokens of the moments from start to before stop."""
        costs = (self.costs[moment.place] + self._cost(moment.texts) for moment in self.moments)
        return list(accumulate(costs, initial=0))

    def _cost(self, places: Iterable[int]) -> int:
        return sum(self.costs[place] for place in places)

    @cached_property
    def states(self) -> list[State]:
        """The state before each moment."""
        state: State = self.sample.task.state if self.sample.task else {}
        before = []
        for moment in self.moments:
            before.append(state)
            changes = [change for place in moment.texts for change in self.sample.turns[place].transitions]
            if changes and self.sample.task:
                try:
                    state = applied(state, changes)
                except IllegalTransition as error:
                    raise UserError(f"sample {self.sample.id}: {error}") from error
        return before

    @cached_property
    def asked(self) -> list[tuple[int, ...]]:
        """Before each moment: the places of the users' turns that nobody has answered by then."""
        waiting: tuple[int, ...] = ()
        before = []
        for moment in self.moments:
            before.append(waiting)
            for place in moment.texts:
                role = self.sample.turns[place].role
                waiting = () if role == "assistant" else (*waiting, place) if role == "user" else waiting
        return before

    @cached_property
    def answers(self) -> list[int]:
        """For each moment: the next one, itself included, at which something is said; len(moments) if there is none."""
        found = [len(self.moments)]
        for number, moment in reversed(list(enumerate(self.moments))):
            said = any(self.sample.turns[place].role == "assistant" for place in moment.texts)
            found.append(number if said else found[-1])
        return found[::-1]

    def part_from(self, first: int) -> tuple[Sample, int]:
        """The part that learns from moment `first` on, and the moment from which the next one does."""
        limit = self.limit
        while True:
            context = self._context(first, limit)
            stop = self._cut(first, self._full(first, limit, *context), limit)
            part = self._part(first, stop, *context)
            tokens = self.length(part)
            if tokens <= self.limit:
                return part, stop
            if context == (first, ()) and stop == first + 1:
                raise self._too_long(first, tokens)
            limit -= tokens - self.limit

    def _told(self, start: int) -> Sample:
        """The system prompt alone, as it is at a moment."""
        task = self.sample.task
        return replace(self.sample, turns=self.prompt, task=task and replace(task, state=self.states[start]))

    def _context(self, first: int, limit: int) -> tuple[int, tuple[int, ...]]:
        """Where the context of a part starts, and the open questions from before that, as far as there is room."""
        room = limit - self.length(self._told(first))
        left = min(room // 2, room - (self.sums[first + 1] - self.sums[first]))
        open_: set[int] = set()
        for place in reversed(self.asked[first]):  # the latest matter most
            if self.costs[place] > left:
                break
            open_.add(place)
            left -= self.costs[place]
        fps = self.sample.turns[self.moments[first].place].frames.fps
        start = first
        while start > max(0, first - round(self.overlap * fps)):
            paid = self._cost(open_.intersection(self.moments[start - 1].texts))
            left -= self.sums[start] - self.sums[start - 1] - paid
            if left < 0:
                break
            start -= 1
        shown = {place for moment in self.moments[start:first] for place in moment.before}
        return start, tuple(sorted(open_ - shown))

    def _full(self, first: int, limit: int, start: int, questions: tuple[int, ...]) -> int:
        """The first moment that a part has no room for."""
        room = limit - self.length(self._told(start)) - self._cost(questions)
        return max(first + 1, bisect_right(self.sums, self.sums[start] + room) - 1)

    def _cut(self, first: int, full: int, limit: int) -> int:
        """Where a part ends that could go on to `full`: behind a whole turn where it is more than half full by then.

        Rather not between a question and its answer. Only for a question is a part ended earlier, if that helps it.
        """
        if full == len(self.moments):
            return full
        half = bisect_left(self.sums, (self.sums[first] + self.sums[full]) / 2)
        whole = [at for at in range(full, first, -1) if self.moments[at].place != self.moments[at - 1].place]
        cut = whole[0] if whole and whole[0] >= half else full
        calm = next((at for at in whole if not self.asked[at]), None)
        if calm is not None and (calm >= half or (self.asked[cut] and self._reaches(calm, self.answers[cut], limit))):
            return calm
        return cut

    def _reaches(self, first: int, moment: int, limit: int) -> bool:
        return self._full(first, limit, *self._context(first, limit)) > moment

    def _part(self, first: int, stop: int, start: int, questions: tuple[int, ...]) -> Sample:
        context = [*(self.sample.turns[place] for place in questions), *self._turns(start, first)]
        read = tuple(replace(turn, learn=False) for turn in context)
        told = self._told(start)
        return replace(told, turns=(*told.turns, *read, *self._turns(first, stop)))

    def _turns(self, start: int, stop: int) -> Iterator[Turn]:
        turns = self.sample.turns
        for place, group in groupby(self.moments[start:stop], key=lambda moment: moment.place):
            moments = list(group)
            seen = turns[place].frames.part(moments[0].frame, moments[-1].frame + 1)
            yield from (turns[before] for before in moments[0].before)
            yield replace(turns[place], parts=(seen,))
            yield from (turns[after] for after in moments[-1].after)

    def _too_long(self, number: int, tokens: int) -> UserError:
        """Names the turn that is too long by itself, else the frame with all that belongs to it."""
        moment, told = self.moments[number], self.length(self._told(number))
        longest = max(moment.texts, key=lambda place: self.costs[place], default=moment.place)
        if told >= self.limit:
            what, tokens = "the system prompt", told
        elif told + self.costs[longest] > self.limit:
            role, tokens = self.sample.turns[longest].role, told + self.costs[longest]
            what = f"turn {longest + 1} ({role}) with the system prompt"
        else:
            what = f"turn {moment.place + 1}, frame {moment.frame} with its events and the system prompt"
        return UserError(
            f"sample {self.sample.id}: {what} takes {tokens} tokens and the limit is {self.limit}; "
            "raise the limit, take fewer tokens a frame, or leave the sample out"
        )
