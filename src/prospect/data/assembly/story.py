"""What happens in the built-in assembly world: a toy whose parts appear, are carried and get fixed, frame by frame.

Every event can be seen at its own frame (2 frames a second), never only after it:

| event      | first frame at which …                                         | what follows from it             |
| ---------- | -------------------------------------------------------------- | -------------------------------- |
| `next`     | a part of the list lies on the table, in no hand               | "Next is the red disc."          |
|            | … and the toy has no stud                                      | "First is the red disc."         |
| `start`    | hands hold the part, which is not askew                        | S1->start                        |
| `crooked`  | the part is on the toy askew: a slanted bar, no bolts, no stud | "Stop. … is wrong. Turn it."     |
| (none)     | hands are back at the askew part: a correction is no new start | nothing                          |
| `complete` | the part is bolted on: no hands, plate, bolts and a new stud   | S1->complete                     |
| `good`     | the same frame                                                 | "Good, the red disc is in place." |
|            | … after a mistake                                              | "Good, now the red disc is …"    |
| `end`      | the toy is gone from the table (hard: the last part is on)     | "All done."                      |
| `wrong`    | (hard) a part that is not on the list lies on the table        | "Stop. … is wrong. Put it back." |
| (none)     | (hard) hands hold that part and take it away: no start         | nothing                          |

With `together` (hard) a step starts at the frame at which the one before completes: the new part is in the hands and
the stud of the old one is on the toy. At one frame the order is complete, start, utterance; never two utterances.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import product
from random import Random
from typing import Literal

from prospect.data.assembly.presets import DENSE, SPLITS, Preset, settings
from prospect.errors import UserError

Manner = Literal["lies", "carried", "crooked", "turned", "fixed"]
Kind = Literal["complete", "start", "next", "crooked", "good", "wrong", "end"]
Block = tuple[int, int, int, int, int]  # left, top, width, height, tone

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "cyan", "black")
SHAPES = ("disc", "square", "triangle", "cross", "ring", "bar")
PACES = (0.6, 1.0, 1.7, 2.8)
LONGEST = 40  # frames of a stage: something happens in every clip
ENDS, A_STEP = 17.5, 26.5  # frames on average at the usual pace: before and after all steps, and of one
HOME = (9, 9)  # where a part is worked on: left and top of its box


@dataclass(frozen=True)
class Part:
    colour: str
    shape: str

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"


PARTS = tuple(Part(colour, shape) for colour, shape in product(COLOURS, SHAPES))


@dataclass(frozen=True)
class Scene:
    """What one frame shows."""

    part: Part | None = None
    manner: Manner = "lies"
    at: tuple[int, int] = HOME
    placed: tuple[Part, ...] = ()  # a stud on the toy for each part that is fixed
    resting: bool = False  # idle hands at the edges of the table
    toy: bool = True
    covered: bool = False  # no stud can be seen
    clutter: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Event:
    frame: int
    kind: Kind
    part: Part | None = None
    first: bool = False  # `next`: nothing is on the toy yet
    mended: bool = False  # `good`: after a mistake


@dataclass(frozen=True)
class Story:
    parts: tuple[Part, ...]  # in the order of the recipe: step S1 is the first
    scenes: tuple[Scene, ...]  # one a frame
    events: tuple[Event, ...]  # in time order


def story(seed: int, split: str, index: int, preset: str = "easy") -> Story:
    """The whole video of one clip. Plot, timing and looks are drawn apart, so that none tells of another."""
    key, rules = f"{seed} {split} {index}", settings(preset, split)
    plot = Random(f"{key} plot")
    return tell(composition(split, plot), rules, plot, Random(f"{key} clock"), Random(f"{key} looks"))


def composition(split: str, rng: Random) -> tuple[Part, ...]:
    """The 3 to 7 parts of a task of this split. Dense clips are for training, so their tasks are those of train."""
    if split not in (*SPLITS, DENSE):
        raise UserError(f"split {split}: accepted are {', '.join((*SPLITS, DENSE))}")
    while True:
        parts = tuple(rng.sample(PARTS, rng.choice((3, 3, 4, 4, 5, 6, 7))))
        if split_of(parts) == ("train" if split == DENSE else split):
            return parts


def split_of(parts: Iterable[Part]) -> str:
    """The one split a set of parts belongs to, in whatever order: an eighth each for val and test."""
    digest = sha256(", ".join(sorted(part.name for part in parts)).encode()).digest()
    return {0: "val", 1: "test"}.get(digest[0] % 8, "train")


def tell(parts: tuple[Part, ...], rules: Preset, plot: Random, clock: Random, looks: Random) -> Story:
    """`plot` decides what happens, `clock` when, `looks` how the table looks."""
    order = parts if rules.ordered else tuple(plot.sample(parts, len(parts)))
    film = _Film(rules, clock, looks, _pace(rules.lasts, len(parts), clock))
    film.idle(3, 12)
    waiting = True  # for the next part to appear; not so if it was taken at the very frame of the last completion
    for part in order:
        last = part is order[-1]
        if waiting and plot.random() < rules.wrong:
            film.wrong_part(plot.choice([other for other in PARTS if other not in parts]))
        if waiting:
            film.appears(part)
        film.carried(part)
        askew = plot.random() < rules.crooked
        if askew:
            film.corrected(part)
        waiting = last or plot.random() >= rules.together
        film.completed(part, askew, waiting, last)
    film.ending()
    return Story(parts, tuple(film.scenes), tuple(film.events))


def _pace(lasts: tuple[int, int] | None, steps: int, clock: Random) -> float:
    """Where it is known how long a video lasts, twice as long is as likely as half."""
    if lasts is None:
        return clock.choice(PACES)
    least, most = lasts
    return least * (most / least) ** clock.random() / (ENDS + steps * A_STEP)


@dataclass
class _Film:
    """Scenes and events as they are shot."""

    rules: Preset
    clock: Random
    looks: Random
    pace: float  # how long everything takes in this video, to what is usual
    scenes: list[Scene] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    table: Scene = field(init=False)  # what stays while parts come and go
    at: tuple[int, int] = HOME

    def __post_init__(self) -> None:
        self.table = Scene(covered=self.rules.covered)

    def idle(self, least: int, most: int) -> None:
        """Nothing happens: things on the table are moved about, hands rest or not."""
        self.table = replace(self.table, clutter=_clutter(self.looks, self.rules.anywhere))
        resting = self.looks.random() < 0.5
        for _ in range(self._lasting(least, most)):
            resting ^= self.looks.random() < 0.2
            self.scenes.append(replace(self.table, resting=resting))

    def wrong_part(self, part: Part) -> None:
        self._settle_place()
        self._happens("wrong", part)
        self._shoot(part, "lies", 2, 10)
        self._shoot(part, "carried", 2, 5)
        self.idle(1, 6)

    def appears(self, part: Part) -> None:
        self._settle_place()
        self._happens("next", part, first=not self.table.placed)
        self._shoot(part, "lies", 2, 10)

    def carried(self, part: Part) -> None:
        self._happens("start", part)
        self._shoot(part, "carried", 3, 13)

    def corrected(self, part: Part) -> None:
        self._happens("crooked", part)
        self._shoot(part, "crooked", 2, 9)
        self._shoot(part, "turned", 2, 7)

    def completed(self, part: Part, askew: bool, waiting: bool, last: bool) -> None:
        self._happens("complete", part)
        if last and not self.rules.taken_away:
            self._happens("end")
        else:
            self._happens("good", part, mended=askew)
        self.table = replace(self.table, placed=(*self.table.placed, part))
        if waiting:
            self._shoot(part, "fixed", 2, 5)
            self.idle(1, 12)
        else:
            self._settle_place()

    def ending(self) -> None:
        if self.rules.taken_away:
            self.table = replace(self.table, toy=False, placed=())
            self._happens("end")
        self.idle(5, 15)
        missing = self.rules.frames[0] - len(self.scenes)
        self.scenes += [self.table] * missing  # a negative number of times is none

    def _lasting(self, least: int, most: int) -> int:
        """Frames of a stage, on average the middle of both at the usual pace.

        Every further frame is as likely as the one before, and the pace of a video is its own: from the time that has
        passed, nothing can be told. With durations that can be learnt, a blind model keeps the state by the clock.
        """
        slowest = self.rules.slowest
        if slowest is not None:
            return self.clock.randint(1, min(most, slowest))
        shortest = min(least, 2)
        more = max(0.2, (least + most) / 2 * self.pace - shortest)
        longest, frames = shortest + int(3 * more) + 1, shortest
        if self.rules.lasts is None:
            longest = min(LONGEST, longest)
        while frames < longest and self.clock.random() < more / (1 + more):
            frames += 1
        return frames

    def _settle_place(self) -> None:
        if self.rules.anywhere:
            self.at = (self.looks.randint(2, 16), self.looks.randint(5, 9))

    def _happens(self, kind: Kind, part: Part | None = None, first: bool = False, mended: bool = False) -> None:
        self.events.append(Event(len(self.scenes), kind, part, first, mended))

    def _shoot(self, part: Part, manner: Manner, least: int, most: int) -> None:
        for _ in range(self._lasting(least, most)):
            if self.rules.anywhere and manner == "carried":
                x, y = self.at
                self.at = (
                    min(16, max(2, x + self.looks.randint(-1, 1))),
                    min(9, max(5, y + self.looks.randint(-1, 1))),
                )
            self.scenes.append(replace(self.table, part=part, manner=manner, at=self.at))


def _clutter(looks: Random, anywhere: bool) -> tuple[Block, ...]:
    """Up to three small things at the edges of the table, in dull tones; in a hard world in the parts' colours too."""
    tones = 3 + len(COLOURS) if anywhere else 3
    blocks = []
    for _ in range(looks.randint(0, 3)):
        left = looks.choice((0, 1, 28))
        block = (left, looks.randint(0, 20), looks.randint(2, 3), looks.randint(2, 4), looks.randrange(tones))
        blocks.append(block)
    return tuple(blocks)
