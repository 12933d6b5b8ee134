"""A split watched by the model on its own: what it said and when, what it believed, against what was true."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from prospect.conversation.sample import Sample
from prospect.disk import write_atomically
from prospect.evaluation.dialogue import in_frames, window_of
from prospect.models.vlm import VLM
from prospect.streaming.context import Context
from prospect.streaming.recorded import recorded
from prospect.streaming.stream import Moment, WatchSettings
from prospect.streaming.watcher import watch_all
from prospect.training.processes import gathered, rank, share, wait_for_all


@dataclass(frozen=True)
class Watching:
    """How clips are watched and what they are compared with; the node `watch` of the configuration.

    Thresholds of None are chosen on val. `window`: seconds that a reference may lie before and after an utterance;
    None is that of the data set's name.
    """

    clips: int | None = None
    rows: int = 16
    ahead: int = 1
    constrained: bool = True
    dst_tokens: int = 64
    speak_tokens: int = 64
    speak_threshold: float | None = None
    dst_threshold: float | None = None
    window: tuple[float, float] | None = None
    similarity: str = "tfidf"
    strict_proassist: bool = False

    def settings(self, chosen: dict[str, float]) -> WatchSettings:
        speak = chosen["speak"] if self.speak_threshold is None else self.speak_threshold
        dst = chosen["dst"] if self.dst_threshold is None else self.dst_threshold
        return WatchSettings(speak, dst, self.constrained, self.dst_tokens, self.speak_tokens, self.ahead)

    def frames_of(self, dataset: str, fps: float) -> tuple[int, int]:
        return in_frames(self.window or window_of(dataset), fps)


@dataclass(frozen=True)
class Watch:
    """All that watching a split takes besides the model and the clips."""

    how: Watching
    context: Context
    folder: Path  # where finished clips are noted


def watched_split(
    vlm: VLM, samples: Sequence[Sample], settings: WatchSettings, context: Context, rows: int, notes: Path
) -> list[dict[str, Any]]:
    """A row a clip, in the order of the samples. Finished clips are noted in `notes`, so that a stopped run goes on.

    Ranks share the clips, each with a file of its own beside the others'.
    """
    done = {row["id"]: row for file in notes.parent.glob(f"{notes.name}-*.jsonl") for row in _noted(file)}
    left = [sample for sample in samples if sample.id not in done]
    mine = share(left)
    wait_for_all()  # a rank that reads later must not see what another has noted since: their shares would overlap
    notes.parent.mkdir(parents=True, exist_ok=True)
    own = notes.parent / f"{notes.name}-{rank()}.jsonl"
    _cut(own)
    with Progress(transient=True) as progress, own.open("a", encoding="utf-8") as file:
        bar = progress.add_task(f"watching {notes.name}", total=sum(map(_length, mine)))
        rows_ = []
        for row in _watched(vlm, mine, settings, context, rows, lambda: progress.advance(bar)):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            rows_.append(row)
    done |= {row["id"]: row for row in gathered(rows_)}
    return [done[sample.id] for sample in samples]


def _watched(
    vlm: VLM, samples: Sequence[Sample], settings: WatchSettings, context: Context, rows: int, seen: Any
) -> Iterable[dict[str, Any]]:
    """Clips as they are finished."""
    moments: dict[int, list[Moment]] = {}
    streams = [recorded(sample) for sample in samples]
    for number, moment in watch_all(vlm, streams, settings, context, rows) if samples else ():
        moments.setdefault(number, []).append(moment)
        seen()
        if len(moments[number]) == _length(samples[number]):
            yield clip_row(samples[number], moments.pop(number), settings)


def clip_row(sample: Sample, moments: Sequence[Moment], settings: WatchSettings) -> dict[str, Any]:
    """What came of one clip, frame by frame, in numbers and texts alone."""
    counts: dict[str, int] = {}
    for moment in moments:
        for name, count in moment.counts.items():
            counts[name] = counts.get(name, 0) + count
    return {
        "id": sample.id,
        "first": moments[0].frame,
        "fps": sample.frames[0].fps,
        "settings": asdict(settings),
        "p_speak": [round(moment.p_speak, 4) for moment in moments],
        "p_dst": [round(moment.p_dst, 4) for moment in moments],
        "said": [[moment.frame, moment.utterance] for moment in moments if moment.utterance is not None],
        "updates": [
            [moment.frame, moment.written, [[t.step, t.action] for t in moment.update or ()]]
            for moment in moments
            if moment.written is not None
        ],
        "state": moments[-1].state,
        "counts": counts,
    }


def _cut(file: Path) -> None:
    """A line that was not finished goes, or the next one would be written behind it."""
    if file.is_file():
        text = file.read_text(encoding="utf-8")
        write_atomically(file, text[: text.rfind("\n") + 1])


def _noted(file: Path) -> Iterable[dict[str, Any]]:
    """Rows of clips that were finished; a last line that was cut off is not one."""
    for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def _length(sample: Sample) -> int:
    return sum(map(len, sample.frames))
