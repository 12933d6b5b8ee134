"""A trained model watches: frames and the user's texts in, what it decides, says and believes out.

    for moment in watch(vlm, Stream(system, task, source)):
        ...

A live source is any iterator: the model's answer to a frame is there before the next frame is asked for. Of several
recorded streams `watch_all` makes one batch, in which each is what it would be alone.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from prospect.errors import UserError
from prospect.models.vlm import VLM
from prospect.streaming.context import Context, NoDrop
from prospect.streaming.feeding import Answer, Ask, Feeder
from prospect.streaming.session import Session
from prospect.streaming.stream import Moment, Stream, WatchSettings

Run = Generator[Ask | Moment, Answer | None, None]


def watch(
    vlm: VLM, stream: Stream, settings: WatchSettings | None = None, context: Context | None = None
) -> Iterator[Moment]:
    """One moment a frame, each as soon as it is known."""
    return (moment for _, moment in watch_all(vlm, [stream], settings, context, rows=1))


def watch_all(
    vlm: VLM,
    streams: Sequence[Stream],
    settings: WatchSettings | None = None,
    context: Context | None = None,
    rows: int = 8,
) -> Iterator[tuple[int, Moment]]:
    """(number of the stream, moment): the moments of each stream in order, `rows` of the streams at a time."""
    settings, context = settings or WatchSettings(), context or NoDrop()
    waiting, rows = enumerate(streams), max(1, min(rows, len(streams)))
    feeder = Feeder(vlm, rows, room_of(vlm, context))
    pieces = vlm.pieces
    running: dict[int, tuple[int, Run]] = {}
    answers: dict[int, Answer | None] = {}
    vlm.model.eval()
    while True:
        for row in range(rows):
            if row not in running and (following := next(waiting, None)):
                number, stream = following
                running[row] = (number, Session(stream, pieces, settings, context, feeder.cache.room).run())
                answers[row] = None
        if not running:
            return
        asks: dict[int, Ask] = {}
        for row, (number, run) in list(running.items()):
            item = _onward(run, answers.pop(row))
            while isinstance(item, Moment):
                yield number, item
                item = _onward(run, None)
            if item is None:
                del running[row]
                feeder.free(row)
            else:
                asks[row] = item
        answers.update(feeder(asks) if asks else {})


def _onward(run: Run, answer: Answer | None) -> Ask | Moment | None:
    """Until it asks or tells something; None is its end."""
    try:
        return run.send(answer)
    except StopIteration:
        return None


def room_of(vlm: VLM, context: Context) -> int:
    """The context in tokens."""
    if context.length is None:
        return vlm.max_length
    if not 0 < context.length <= vlm.max_length:
        raise UserError(f"context.length={context.length}: the model has positions for 1 to {vlm.max_length} tokens")
    return context.length
