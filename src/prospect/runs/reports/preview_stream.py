"""A stream over time, for terminal and page: its turns, the state around every update, the labels of its frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from prospect.runs.reports.curves import nice

# How the label of a frame's decision looks on a terminal: one character, and its style.
MARKS = {
    "speak": ("S", "black on cyan"),
    "dst": ("D", "black on yellow"),
    "speak + dst": ("B", "black on green"),
    "silent": ("·", ""),
    "not sampled": ("-", "dim"),
    "context": ("x", "dim"),
}
STATUS = {"not_started": "○", "in_progress": "◐", "completed": "●"}


def turns(part: dict[str, Any]) -> list[Text | Table]:
    """A row a turn with its time and frame; spans of frames as a mark a frame."""
    stream = part["stream"]
    label = {point["frame"]: point["label"] for point in stream["points"]}
    table = Table.grid(padding=(0, 2, 0, 0))
    for column in ("dim", "bold"):
        table.add_column(justify="right", style=column, no_wrap=True)
    table.add_column()
    for turn, place in zip(part["turns"], stream["places"], strict=True):
        words = Text()
        if "start" in place:
            for frame in range(place["start"], place["stop"]):
                words.append(*MARKS[label[frame]])
        else:
            words.append("".join(piece.get("text", "[picture] ") for piece in turn["parts"]))
            words.append(_note(turn, place), style="dim")
        table.add_row(_time(place, stream["fps"]), turn["role"], words)
    return [_legend(stream), table]


def counts(stream: dict[str, Any], whole: int) -> dict[str, str]:
    """What a stream's numbers are, in words. `whole`: the frames of the sample, of which this may be a part."""
    frames = len(stream["points"])
    return {
        "frames kept": f"{frames:,} of {whole:,}, {frames / stream['fps']:.1f} s at {stream['fps']:g} a second",
        "tokens a frame": f"{stream['frame_tokens']}",
        "token budget": counted(stream["budget"]),
        "decisions": counted(stream["labels"]),
        "events": counted(stream["kinds"]) or "none",
        "silent frames": sampled(stream),
    }


def sampled(stream: dict[str, Any]) -> str:
    """How it came that some silent frames have no label."""
    rate, epoch, seed = (stream["sampling"][key] for key in ("rate", "epoch", "seed"))
    if epoch is None:
        return "all of them count: this is evaluation"
    if rate == 1:
        return "all of them are learnt"
    return f"a share of {rate:g} of them is learnt, drawn anew each epoch; shown is epoch {epoch} of seed {seed}"


def counted(numbers: Mapping[str, int]) -> str:
    return "  ".join(f"{name} {number:,}" for name, number in numbers.items())


def seconds(frame: int, fps: float) -> str:
    return f"{frame / fps:.1f} s"


def percent(frame: float, stream: Mapping[str, Any]) -> float:
    """Where a frame begins, in hundredths of the width."""
    return round(100 * (frame - stream["start"]) / (stream["stop"] - stream["start"]), 3)


def ticks(stream: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Round seconds and the frames that begin there."""
    fps, start, stop = stream["fps"], stream["start"], stream["stop"]
    return [
        {"seconds": f"{second:g}", "frame": round(second * fps, 3)}
        for second in nice(start / fps, stop / fps, 10)
        if start <= second * fps < stop
    ]


def state_marks(state: Mapping[str, str]) -> str:
    return "".join(STATUS[status] for status in state.values())


def _legend(stream: dict[str, Any]) -> Text:
    legend = Text("frames  ", style="dim")
    for name in Counter(point["label"] for point in stream["points"]):
        legend.append(*MARKS[name]).append(f" {name}  ", style="dim")
    return legend.append(f" steps  {'  '.join(f'{mark} {name}' for name, mark in STATUS.items())}\n", style="dim")


def _time(place: dict[str, Any], fps: float) -> str:
    if "start" in place:
        return f"{place['start'] / fps:.1f}–{place['stop'] / fps:.1f} s"
    return f"{place['frame'] / fps:.1f} s  #{place['frame']}"


def _note(turn: dict[str, Any], place: dict[str, Any]) -> str:
    if turn["role"] == "dst":
        note = f"   {state_marks(place['before'])} → {state_marks(place['after'])}"
    else:
        note = f"   ({turn['kind']})" if turn["kind"] else ""
    return note if turn["learn"] or turn["role"] in ("user", "system") else f"{note}   context"
