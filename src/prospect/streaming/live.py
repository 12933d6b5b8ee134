"""A run's model watching something as it comes: `python -m prospect.streaming.live RUN SOURCE --step NAME --step NAME`.

SOURCE is a folder of pictures, taken in the order of their names, or a video file, from which frames are taken by their
timestamps (with the package `av`). The answer to a frame is printed before the next one is read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from prospect.conversation.dst import said_state, state_of
from prospect.conversation.sample import Picture, Step, Task, Turn
from prospect.data.assembly.clip import GOAL, SYSTEM
from prospect.errors import UserError
from prospect.models.loading import trained
from prospect.models.stream import for_streams
from prospect.streaming.stream import Moment, Stream, WatchSettings
from prospect.streaming.watcher import watch

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


def frames_of(source: Path, fps: float) -> Iterator[Image.Image]:
    """Frames of a folder of pictures or of a video, as they are asked for."""
    if source.is_dir():
        files = sorted(file for file in source.iterdir() if file.suffix.lower() in PICTURES)
        if not files:
            raise UserError(f"{source} holds no pictures ({', '.join(sorted(PICTURES))})")
        return (Picture(file).open() for file in files)
    if not source.is_file():
        raise UserError(f"{source}: there is no such folder or video")
    return _video(source, fps)


def sampled(timed: Iterable[tuple[float, Image.Image]], fps: float) -> Iterator[Image.Image]:
    """At each n / fps the newest frame that is not later. By timestamps: every k-th frame would drift."""
    number, newest, seconds = 0, None, 0.0
    for seconds, frame in timed:
        while newest is not None and number / fps < seconds:
            yield newest
            number += 1
        newest = frame
    if newest is not None and number / fps <= seconds:
        yield newest


def _video(source: Path, fps: float) -> Iterator[Image.Image]:
    try:
        import av
    except ImportError as error:
        raise UserError(f"{source}: reading videos needs the package av: pip install -e '.[video]'") from error
    with av.open(str(source)) as video:
        stream = video.streams.video[0]
        yield from sampled(((frame.time or 0.0, frame.to_image()) for frame in video.decode(stream)), fps)


def with_words(frames: Iterable[Image.Image], words: dict[int, list[str]]) -> Iterator[tuple[Image.Image, list[str]]]:
    for number, frame in enumerate(frames):
        yield frame, words.get(number, [])


def line_of(moment: Moment, fps: float) -> Iterator[str]:
    """What there is to tell of a frame: nothing, mostly."""
    if moment.update:
        yield f"{moment.frame / fps:7.1f} s  {moment.written}  →  {said_state(moment.state)}"
    if moment.utterance is not None:
        yield f"{moment.frame / fps:7.1f} s  {moment.utterance.strip()}"


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    try:
        for line in _told(asked):
            print(line, flush=True)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _told(asked: argparse.Namespace) -> Iterator[str]:
    steps = tuple(Step(f"S{number}", name) for number, name in enumerate(asked.step, 1))
    task = Task(asked.goal, steps, state_of(step.id for step in steps))
    words: dict[int, list[str]] = {}
    for seconds, text in asked.say:
        words.setdefault(int(float(seconds) * asked.fps), []).append(text)
    frames = frames_of(asked.source, asked.fps)
    vlm = for_streams(trained(asked.run, {}))
    settings = WatchSettings(asked.speak_threshold, asked.dst_threshold)
    stream = Stream((Turn("system", (asked.system,)),), task, with_words(frames, words), fps=asked.fps)
    for moment in watch(vlm, stream, settings):
        yield from line_of(moment, asked.fps)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m prospect.streaming.live", description=__doc__)
    parser.add_argument("run", help="a run folder")
    parser.add_argument("source", type=Path, help="a folder of pictures, or a video file")
    parser.add_argument("--goal", default=GOAL)
    parser.add_argument("--step", action="append", default=[], help="name of a step, once for each, in order")
    parser.add_argument("--system", default=SYSTEM, help="what the model is told first")
    parser.add_argument("--say", nargs=2, action="append", default=[], metavar=("SECONDS", "TEXT"), help="by the user")
    parser.add_argument("--fps", type=float, default=2.0)
    parser.add_argument("--speak-threshold", type=float, default=0.5)
    parser.add_argument("--dst-threshold", type=float, default=0.5)
    return parser


if __name__ == "__main__":
    sys.exit(main())
