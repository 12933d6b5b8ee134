"""A stream drawn: every mark lies at its frame, every number is that of the view, and foreign words stay text."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from prospect.runs.reports.preview import page, show
from prospect.runs.reports.preview_stream import MARKS, counts, percent, ticks

HOSTILE = "</script><script>alert(1)</script>[bold red]markup[/]"
IMAGE = "data:image/png;base64,AAAA"
BEFORE, AFTER = {"S1": "not_started", "S2": "not_started"}, {"S1": "in_progress", "S2": "not_started"}
LABELS = {20: "context", 21: "silent", 22: "not sampled", 23: "speak + dst", 24: "silent", 25: "dst"}


def turn(role: str, text: str = "", learn: bool = True, kind: str = "") -> dict:
    return {"role": role, "learn": learn, "kind": kind, "parts": [{"text": text}] if text else []}


@pytest.fixture
def view():
    turns = [
        turn("system", HOSTILE),
        turn("frames"),
        turn("user", HOSTILE),
        turn("frames"),
        turn("dst", "S1->start"),
        turn("assistant", HOSTILE, kind=HOSTILE),
        turn("frames"),
    ]
    stream = {
        "fps": 2.0,
        "start": 20,
        "stop": 26,
        "steps": [{"id": "S1", "name": HOSTILE}, {"id": "S2", "name": "Ring"}],
        "places": [
            {"frame": 20, "before": BEFORE, "after": BEFORE},
            {"start": 20, "stop": 22},
            {"frame": 22, "before": BEFORE, "after": BEFORE},
            {"start": 22, "stop": 24},
            {"frame": 23, "before": BEFORE, "after": AFTER},
            {"frame": 23, "before": AFTER, "after": AFTER},
            {"start": 24, "stop": 26},
        ],
        "bars": [
            {
                "step": "S1",
                "name": HOSTILE,
                "spans": [
                    {"status": "not_started", "start": 20, "stop": 24},
                    {"status": "in_progress", "start": 24, "stop": 26},
                ],
            }
        ],
        "points": [{"frame": frame, "label": label} for frame, label in LABELS.items()],
        "strip": [21, 24],
        "images": dict.fromkeys((20, 21, 23, 24), IMAGE),
        "labels": {"context": 1, "silent": 2, "not sampled": 1, "speak + dst": 1, "dst": 1},
        "kinds": {"dst/start": 1, HOSTILE: 1},
        "frame_tokens": 5,
        "budget": {"system prompt": 31, "frames": 30, "utterances": 17, "updates": 0, "users": 3, "free": 4919},
        "sampling": {"rate": 0.5, "epoch": 0, "seed": 9},
    }
    part = {"answer": "", "id": HOSTILE, "turns": turns, "tokens": [], "counts": {"tokens": 81}, "stream": stream}
    audit = {"samples": 7, "tokens": 600, "learnt": 10, "longest": 99, "by_channel": {"speak": 4, "dst": 6}}
    audit |= {"faults": [], "findings": [], "classes": {}}
    audit["streams"] = {"clips": 7, "frames": 1234, "users": {HOSTILE: 7}, "events": {"speak/next": 41, HOSTILE: 43}}
    return {
        "data": "toys",
        "split": "train",
        "index": 3,
        "id": HOSTILE,
        "meta": {"video": HOSTILE},
        "frames": 60,
        "parts": [part],
        "audit": audit,
        "model": {"parameters": 538688, "context": 5000},
    }


def shown(view) -> str:
    console = Console(file=io.StringIO(), width=150)
    show(view, console)
    return console.file.getvalue()


def test_foreign_words_are_text(view, tmp_path):
    html = page(view, tmp_path / "page.html").read_text()
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)") >= 10
    assert "http" not in html
    assert re.findall(r'src="(.*?)"', html) == [IMAGE] * 6  # two of the strip, four between the turns
    assert shown(view).count("[bold red]markup[/]") >= 5


def test_every_mark_lies_at_its_frame(view, tmp_path):
    html = page(view, tmp_path / "page.html").read_text()
    for frame, label in LABELS.items():
        titles = html.count(f"frame {frame}, {frame / 2:.1f} s: {label}")
        assert titles == 2 + label.count("speak") + label.count("dst"), label  # lanes, and the cells of the turn
    assert '<svg class="lane" viewBox="20 0 6 1"' in html
    assert re.findall(r'<rect class="(speak|dst)" x="(\d+)"', html) == [("speak", "23"), ("dst", "23"), ("dst", "25")]
    assert re.findall(r'<rect class="user" x="(\d+)"', html) == ["22"]
    bars = re.findall(r'<rect class="(not_started|in_progress)" x="(\d+)" width="(\d+)"', html)
    assert bars == [("not_started", "20", "4"), ("in_progress", "24", "2")]


def test_the_numbers_of_the_page(view, tmp_path):
    text = re.sub(r"<[^>]*>|\s+", " ", page(view, tmp_path / "page.html").read_text())
    text = " ".join(text.split())
    for words in (
        "frames kept 6 of 60, 3.0 s at 2 a second",
        "tokens a frame 5",
        "system prompt 31 frames 30 utterances 17 users 3 free 4,919",
        "context 1 silent 2 not sampled 1 speak + dst 1 dst 1",
        "a share of 0.5 of them is learnt, drawn anew each epoch; shown is epoch 0 of seed 9",
        "S1: not_started → in_progress",
        "11.5 s #23",
        "2 frames, not sampled 1, speak + dst 1",
        "speak/next 41",
        "frames 1,234",
        "538,688 parameters",
    ):
        assert words in text, words


def test_the_terminal_has_a_mark_a_frame(view):
    text = shown(view)
    marks = re.findall(r"frames  ([^ ]+) ", text)
    assert "".join(marks)[-6:] == "".join(MARKS[label][0] for label in LABELS.values())
    assert "○○ → ◐○" in text
    assert "10.0–11.0 s" in text
    assert "11.0 s  #22" in text
    assert "7 clips, 1,234 frames" in text
    assert "system prompt 31  frames 30  utterances 17  updates 0  users 3  free 4,919" in text


def test_parts_are_numbered(view, tmp_path):
    view["parts"] = [view["parts"][0], {**view["parts"][0], "id": "clip#2"}]
    assert "part 2 of 2" in shown(view)
    assert "Part 2 of 2" in page(view, tmp_path / "page.html").read_text()


def test_what_sampling_did_is_said(view):
    stream = view["parts"][0]["stream"]
    for sampling, words in (
        ({"rate": 1.0, "epoch": None, "seed": 0}, "this is evaluation"),
        ({"rate": 1.0, "epoch": 0, "seed": 0}, "all of them are learnt"),
    ):
        assert words in counts({**stream, "sampling": sampling}, 60)["silent frames"]


def test_the_axis():
    stream = {"fps": 2.0, "start": 20, "stop": 60}
    assert [(tick["seconds"], tick["frame"]) for tick in ticks(stream)] == [
        (str(second), 2.0 * second) for second in range(10, 30, 2)
    ]
    assert [percent(frame, stream) for frame in (20, 30, 60)] == [0, 25, 100]


def test_a_clip_of_features_says_so(view, tmp_path):
    view["parts"][0]["stream"] |= {"strip": [], "images": {}}
    assert "no pictures" in page(view, tmp_path / "page.html").read_text()
