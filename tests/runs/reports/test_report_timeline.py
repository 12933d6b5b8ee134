"""A timeline: everything lies at its frame and stands once in the list, with the verdict that the row gives it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from tests.runs.reports.test_report_watched import PIXEL, row

from prospect.runs.reports.report_timeline import (
    LEFT,
    PICTURE,
    RIGHT,
    WIDTH,
    changes,
    differing,
    stretches,
    timeline,
    utterances,
)

STATES = ("not_started", "in_progress", "completed")


def x(frame: float, of=6, first=10) -> float:
    return round(LEFT + (frame - first) / of * (WIDTH - RIGHT - LEFT), 1)


def test_utterances_keep_their_verdicts():
    clip = row(pairs=[[11, "a", 12, "a", 1.0, True], [13, "b", 13, "c", 0.1, False]], missed=[[14, "d"]])
    assert [(each["verdict"], each["true"], each["ours"]) for each in utterances(clip)] == [
        ("right", (12, "a"), (11, "a")),
        ("other", (13, "c"), (13, "b")),
        ("missed", (14, "d"), None),
        ("redundant", None, (14, "Stop it.")),
    ]


def test_changes_are_right_at_the_very_frame_alone():
    clip = row(
        happened=[[11, "S1", "start"], [14, "S1", "complete"], [15, "S2", "start"]],
        updates=[[11, "", [["S1", "start"]]], [12, "nonsense", []], [15, "", [["S1", "complete"], ["S9", "start"]]]],
    )
    assert [(each["verdict"], (each["true"] or each["ours"])[1]) for each in changes(clip)] == [
        ("right", "start: Attach the disc"),
        ("redundant", "nonsense (no effect)"),
        ("other", "done: Attach the disc"),
        ("missed", "start: Attach the bar"),
        ("redundant", "start: S9"),
    ]


def test_marks_lie_at_their_frames():
    found = timeline(row())
    matched, missed, redundant = found["utterances"]
    assert matched["true"]["x"] == matched["ours"]["x"] == x(11.5)
    assert (missed["true"]["x"], missed["ours"]) == (x(13.5), None)
    assert (redundant["ours"]["x"], redundant["true"]) == (x(14.5), None)
    assert found["asked"] == [{"x": x(12.5), "text": "What now?"}]
    assert found["pictures"] == [{"x": x(11.5) - PICTURE / 2, "image": PIXEL}]  # and none from elsewhere
    assert [(tick["x"], tick["told"]) for tick in found["ticks"]] == [(x(10 + 2 * n), f"0:0{5 + n}") for n in range(4)]
    speak, dst = found["lanes"]
    points = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+),([\d.]+)", speak["path"])]
    assert points[1][0] == x(11.5)
    assert speak["top"] < points[1][1] < speak["threshold"] < points[0][1] < speak["bottom"] < dst["top"]
    assert (speak["theta"], dst["theta"]) == (0.5, 0.25)
    assert dst["threshold"] == dst["bottom"] - 0.25 * (dst["bottom"] - dst["top"])


def test_the_bars_of_a_step():
    (step,), still = timeline(row())["steps"], timeline(row())["still"]
    assert (step["name"], still) == ("Attach the disc", 1)
    true = [bar for bar in step["bars"] if bar["y"] == step["y"]]
    ours = [bar for bar in step["bars"] if bar["y"] == step["below"]]
    assert [(bar["x"], bar["status"]) for bar in true] == list(zip((x(10), x(11), x(15)), STATES, strict=True))
    assert [(bar["x"], bar["status"]) for bar in ours] == list(zip((x(10), x(11)), STATES, strict=False))
    assert [(bar["x"], bar["status"]) for bar in step["differs"]] == [(x(15), "in_progress, not completed")]
    for bars in (true, ours):
        assert abs(bars[-1]["x"] + bars[-1]["width"] - x(16)) < 0.2


def test_the_list_says_when_what_and_how_late():
    clip = row(
        happened=[],
        updates=[],
        pairs=[[14, "a", 12, "b", 0.2, False]],
        missed=[[130, "Good."]],
        redundant=[[frame, "Stop it."] for frame in (10, 11, 13)],
    )
    lines = [
        (each["at"], each["verdict"], each["true"], each["ours"], each["late"], each["times"])
        for each in timeline(clip)["lines"]
    ]
    assert lines == [
        ("0:05.0", "redundant", None, "Stop it.", "", 2),
        ("0:06.0", "asked", "What now?", "What now?", "", 1),
        ("0:06.0", "other", "b", "a", "+1.0 s", 1),
        ("0:06.5", "redundant", None, "Stop it.", "", 1),
        ("1:05.0", "missed", "Good.", None, "", 1),
    ]


marks = st.lists(st.tuples(st.integers(3, 12), st.sampled_from(STATES)), max_size=3).map(sorted)


@given(st.sampled_from(STATES), marks, marks)
def test_stretches_and_differences_equal_going_frame_by_frame(start, one, other):
    def by_frame(made):
        now, found = start, []
        for frame in range(3, 13):
            now = [status for at, status in made if at == frame][-1:] or [now]
            now = now[0]
            found.append(now)
        return found

    def spread(found):
        return {frame: status for a, b, status in found for frame in range(a, b)}

    left, right = stretches(start, one, 3, 13), stretches(start, other, 3, 13)
    assert list(spread(left).values()) == by_frame(one)
    wrong = spread(differing(left, right))
    assert sorted(wrong) == [
        3 + n for n, pair in enumerate(zip(by_frame(one), by_frame(other), strict=True)) if len({*pair}) == 2
    ]
