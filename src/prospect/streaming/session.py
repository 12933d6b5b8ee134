"""One stream from its first frame to its last: what is fed when, what is decided, written and believed.

Nothing here computes: a session asks, and whoever runs it puts the questions of one or many streams to the model.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import NamedTuple, get_args

from prospect.conversation.dst import Action, IllegalTransition, State, Transition, applied, legal, read, said
from prospect.conversation.pieces import Pieces
from prospect.conversation.sample import Role, Turn
from prospect.errors import UserError
from prospect.streaming.constrained import LegalUpdate
from prospect.streaming.context import Context
from prospect.streaming.feeding import Answer, Ask, Decided, Sight
from prospect.streaming.held import Held, Unit
from prospect.streaming.stream import NOTHING, Happened, Moment, Stream, WatchSettings
from prospect.streaming.writing import Choose, Given, Greedy, Legal


class Coming(NamedTuple):
    number: int
    units: list[Unit]

    @property
    def tokens(self) -> int:
        return sum(len(unit.ids) for unit in self.units)


class Session:
    def __init__(self, stream: Stream, pieces: Pieces, settings: WatchSettings, context: Context, room: int):
        self.stream, self.pieces, self.settings, self.context, self.room = stream, pieces, settings, context, room
        self.greedy = Greedy(pieces.tokenizer, pieces.end)
        self.state: State = dict(stream.task.state) if stream.task else {}
        self.fps = stream.fps
        self.held = Held(self.prompt())
        self.number = stream.first
        self.counts: Counter[str] = Counter()
        self.dst_tokens = max(settings.dst_tokens, self._one_change()) if settings.constrained else settings.dst_tokens
        self.frame_ids = pieces.frame()
        self.closed = pieces.closed()
        needed = context.reserve(self)
        self.spare = None if needed is None else needed + self._turns_tokens()

    def run(self) -> Generator[Ask | Moment, Answer | None, None]:
        """Asks are answered by send, Moments by next."""
        queue: deque[Coming] = deque()
        rest = self._coming()
        while entered := (yield from self._enter(queue, rest)):
            answer = yield self._ask()
            assert answer is not None
            decided = answer.decisions[-len(entered) :]
            for place, (coming, decision) in enumerate(zip(entered, decided, strict=True)):
                self.number = coming.number
                if any(events := self._events(decision)):
                    later = entered[place + 1 :]
                    self.held.take_back(sum(len(each.units) for each in later))
                    queue.extendleft(reversed(later))
                    yield (yield from self._happens(decision, *events))
                    break
                yield self._moment(decision)

    # what comes in

    def _coming(self) -> Iterator[Coming]:
        for number, (frame, texts) in enumerate(self.stream.source, self.stream.first):
            turns = [Turn("user", (text,)) for text in texts]
            words = [Unit("user", self.pieces.turn(turn), number, self.state) for turn in turns]
            yield Coming(number, [*words, Unit("frames", list(self.frame_ids), number, self.state, Sight(frame))])

    def _enter(self, queue: deque[Coming], rest: Iterator[Coming]) -> Generator[Ask, Answer, list[Coming]]:
        """The next frames that go through at once. The context is shortened where it would be frame by frame."""
        entered: list[Coming] = []
        while len(entered) < self.settings.ahead:
            coming = queue.popleft() if queue else next(rest, None)
            if coming is None:
                break
            if not self._fits(coming):
                if entered:
                    queue.appendleft(coming)
                    break
                yield from self._shortened(coming)
            for unit in coming.units:
                unit.state = self.state
                self.held.add(unit)
            entered.append(coming)
        return entered

    def _fits(self, coming: Coming) -> bool:
        return self.held.total + coming.tokens + (self.spare or 0) <= self.room

    def _shortened(self, coming: Coming) -> Generator[Ask, Answer, None]:
        self.number = coming.number
        self.counts["shortened"] += 1
        room = self.room - coming.tokens - (self.spare or 0)
        yield from self.context.shorten(self.held, room, self)
        if not self._fits(coming):
            raise UserError(
                f"{self.stream.name}: frame {coming.number} with what is said there takes {coming.tokens} tokens, the "
                f"system prompt {len(self.held.units[0].ids)}, what may be written {self.spare}, and the context has "
                f"only {self.room}: raise context.length, or lower the tokens of a turn"
            )

    def _turns_tokens(self) -> int:
        """Of a turn of transitions and an utterance, as long as they may be."""
        words = self.dst_tokens + self.settings.speak_tokens
        return sum(len(self.pieces.opened(role)) for role in ("dst", "assistant")) + words + 2 * len(self.closed)

    def _one_change(self) -> int:
        """Room for the longest transition and to end behind it: what is legal is never cut in its middle."""
        return 1 + max((len(self.pieces.text(said([change]))) for change in all_changes(self.state)), default=0)

    # what happens

    def _events(self, decision: Decided) -> tuple[bool, bool]:
        """Does the state change at this frame, and does the assistant speak?"""
        if self.stream.forced is not None:
            truly = self.stream.forced.get(self.number, NOTHING)
            return bool(truly.transitions), truly.text is not None
        return decision.dst > self.settings.dst_threshold, decision.speak > self.settings.speak_threshold

    def _happens(self, decision: Decided, dst: bool, speak: bool) -> Generator[Ask, Answer, Moment]:
        truly = None if self.stream.forced is None else self.stream.forced[self.number]
        written, update, text = None, None, None
        if dst:
            written = yield from self._update(truly)
            update = None if written is None else self._took_effect(written)
        if speak:
            choose: Choose = self.greedy if truly is None else self._given(truly.text or "")
            text = yield from self._turn("assistant", choose, None if truly else self.settings.speak_tokens)
        return self._moment(decision, update, text, written)

    def _update(self, truly: Happened | None) -> Generator[Ask, Answer, str | None]:
        choose: Choose = self.greedy
        if truly is not None:
            choose = self._given(said(truly.transitions))
        elif self.settings.constrained:
            if not legal(self.state):
                self.counts["barred"] += 1
                return None
            choose = Legal(LegalUpdate(self.pieces.spelled, self.pieces.end, self.state, self.pieces.lead))
        return (yield from self._turn("dst", choose, None if truly else self.dst_tokens))

    def _given(self, text: str) -> Given:
        return Given([*self.pieces.text(text), self.pieces.end])

    def _took_effect(self, written: str) -> tuple[Transition, ...]:
        """The transitions of an update that are legal, one after the other; the others are counted and passed over."""
        try:
            transitions = read(written)
        except ValueError:
            self.counts["unparsable"] += 1
            return ()
        effective = []
        for transition in transitions:
            try:
                self.state = applied(self.state, [transition])
                effective.append(transition)
            except IllegalTransition:
                self.counts["illegal"] += 1
        return tuple(effective)

    def _turn(self, role: Role, choose: Choose, limit: int | None) -> Generator[Ask, Answer, str]:
        """A turn written token by token. Its end, and the newline behind it, go in with what comes next."""
        self.held.add(Unit(role, self.pieces.opened(role), self.number, self.state))
        ids: list[int] = []
        while True:
            answer = yield self._ask(next_token=True)
            assert answer.logits_V is not None
            token = choose(answer.logits_V, (limit or 0) - len(ids))
            if token == self.pieces.end:
                break
            ids.append(token)
            self.held.extend([token])
            if len(ids) == limit:
                self.counts["cut"] += 1
                break
        self.held.extend(self.closed)
        return self.pieces.read(ids)

    def _ask(self, next_token: bool = False) -> Ask:
        if self.held.total > self.room:
            raise UserError(
                f"{self.stream.name}: the context is full at frame {self.number}, with {self.held.total} tokens of "
                f"{self.room}; choose how to go on with context=sliding_window or another, or raise context.length"
            )
        return self.held.ask(next_token)

    def _moment(self, decision: Decided, update=None, text: str | None = None, written: str | None = None) -> Moment:
        counts, self.counts = dict(self.counts), Counter()
        return Moment(
            self.number, decision.speak, decision.dst, update, text, dict(self.state), written=written, counts=counts
        )

    # what a strategy may have written for it

    def prompt(self, state: State | None = None, note: str = "") -> Unit:
        task, system = self.stream.task, self.stream.system
        if task and state is not None:
            task = replace(task, state=state)
        if note:
            *others, last = system or (Turn("system", ("",)),)
            system = (*others, replace(last, parts=(*last.parts, note)))
        return Unit("system", self.pieces.prompt(system, task), self.stream.first, state or dict(self.state))

    def reply(self, request: str, limit: int) -> Generator[Ask, Answer, str]:
        self.held.add(Unit("user", self.pieces.turn(Turn("user", (request,))), self.number, self.state))
        return (yield from self._turn("assistant", self.greedy, limit))

    def reply_tokens(self, request: str, limit: int) -> int:
        asked = self.pieces.turn(Turn("user", (request,)))
        return len(asked) + len(self.pieces.opened("assistant")) + limit + len(self.closed)


def all_changes(state: State) -> list[Transition]:
    return [Transition(step, action) for step in state for action in get_args(Action)]
