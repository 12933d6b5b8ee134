"""Claims: an oracle gets 1 everywhere, silence what is printed beside it; a watch that was stopped loses nothing."""

from __future__ import annotations

import json
import math

import pytest

from prospect.conversation.dst import applied, said
from prospect.data.assembly.demo import assembly101_dst_demo
from prospect.evaluation.dialogue import Matching, Pair
from prospect.evaluation.performance import INTERVALS, mistakes, performance
from prospect.evaluation.states import Track
from prospect.evaluation.streamed import Watching, clip_row, watched_split
from prospect.models.stream import for_streams
from prospect.models.tiny import tiny
from prospect.streaming.context import NoDrop
from prospect.streaming.recorded import happened
from prospect.streaming.stream import Moment, WatchSettings

HALF = {"speak": 0.5, "dst": 0.5}
NAME = "assembly101_dst_demo"


@pytest.fixture(scope="module")
def samples(cache):
    counts = {"train": 1, "val": 1, "test": 6, "captions_count": 1, "dense_count": 1}
    return assembly101_dst_demo(**counts, captions=0, dense=0).splits["test"]


def told(sample, late: int = 0, silent: bool = False):
    """Moments of a model that does what truly happens, some frames late or not at all."""
    true = {} if silent else {frame + late: event for frame, event in happened(sample).items()}
    state, moments = dict(sample.task.state), []
    for frame in range(sample.frames[0].start, sample.frames[-1].stop):
        event = true.get(frame)
        update = event.transitions if event and event.transitions else None
        state = applied(state, update or ())
        text = event.text if event else None
        written = said(update) if update else None
        moments.append(Moment(frame, float(text is not None), float(bool(update)), update, text, state, written))
    return moments


def performed(samples, **how):
    rows = [json.loads(json.dumps(clip_row(s, told(s, **how), WatchSettings()))) for s in samples]
    return performance(samples, rows, Watching(), NAME)


def test_an_oracle_is_right_everywhere(samples):
    found = performed(samples)
    perfect = ("dst/joint_goal_accuracy", "dst/transition_f1", "dialogue/f1", "stream/speak/f1", "stream/dst/f1")
    for key in (*perfect, "dialogue/right_names", "dst/step_accuracy", "dialogue/jaccard", "dst/transition_near/f1"):
        assert found.metrics[key] == pytest.approx(1.0), key
    for key in ("dialogue/missing", "dialogue/redundant", "dst/illegal", "dst/unparsable", "dst/timing/p90"):
        assert found.metrics[key] == 0, key
    assert all(not clip["missed"] and not clip["redundant"] for clip in found.clips)


def test_silence_gets_what_is_printed_beside_every_result(samples):
    silent, oracle = performed(samples, silent=True).metrics, performed(samples).metrics
    for key in ("dst/transition_f1", "dialogue/f1", "stream/speak/f1", "stream/dst/f1"):
        assert silent[key] == 0
    right = frames = 0
    for sample in samples:
        state = dict(sample.task.state)
        events = happened(sample)
        for frame in range(sample.frames[0].start, sample.frames[-1].stop):
            state = applied(state, events[frame].transitions) if frame in events else state
            right, frames = right + (state == sample.task.state), frames + 1
    assert silent["dst/joint_goal_accuracy"] == pytest.approx(right / frames)
    for metrics in (silent, oracle):
        assert metrics["silent/dst/joint_goal_accuracy"] == pytest.approx(right / frames)
    assert silent["watched/frames"] == frames


def test_a_frame_late_is_seen_as_such(samples):
    late = performed([s for s in samples if max(happened(s)) + 1 < s.frames[-1].stop], late=1).metrics
    assert late["dst/transition_f1"] < 0.2  # not quite 0: the same step may start and complete
    assert late["dst/transition_near/f1"] == 1.0
    assert late["dst/timing/median"] == 0.5
    assert late["dialogue/f1"] > 0.9
    assert 0.5 < late["dst/joint_goal_accuracy"] < 1


@pytest.mark.parametrize("how", [{"late": 1}, {"silent": True}])
def test_the_shares_of_clips_make_up_the_headlines(samples, how):
    found = performed(samples, **how)
    for name in INTERVALS:
        upper, lower = (sum(clip["shares"][name][place] for clip in found.clips) for place in (0, 1))
        assert found.metrics[name] == (upper / lower if lower else 0), name


def test_every_number_is_finite_without_references_and_without_clips(samples):
    quiet = [
        type(s)(s.id, tuple(t for t in s.turns if t.role in ("system", "frames")), s.meta, s.task) for s in samples
    ]
    for some in (quiet, quiet[:0]):
        rows = [clip_row(s, told(s), WatchSettings()) for s in some]
        assert all(map(math.isfinite, performance(some, rows, Watching(), NAME).metrics.values()))


def test_a_stopped_watch_goes_on_where_it_was(samples, tmp_path):
    vlm = for_streams(tiny(seed=1, device="cpu", width=48, layers=1), seed=1)
    settings = Watching(speak_tokens=6, dst_tokens=8, speak_threshold=0.12, dst_threshold=0.12).settings(HALF)
    whole = watched_split(vlm, samples, settings, NoDrop(), 2, tmp_path / "whole" / "test")
    notes = tmp_path / "stopped" / "test"
    notes.parent.mkdir()
    lines = (tmp_path / "whole" / "test-0.jsonl").read_text().splitlines(keepends=True)
    (notes.parent / "test-0.jsonl").write_text("".join(lines[:2]) + lines[2][:40])  # killed within a line
    for _ in range(2):  # the second time everything is there
        assert watched_split(vlm, samples, settings, NoDrop(), 3, notes) == whole
    assert [row["id"] for row in whole] == [sample.id for sample in samples]


def pair(score: float) -> Pair:
    return Pair((1, "a"), (2, "b"), score, 0.0)


def test_every_mistake_counts_once():
    start, complete, other = (3, "S1", "start"), (8, "S1", "complete"), (9, "S1", "complete")
    found = Matching((pair(0.9), pair(0.2)), missed=((4, "x"),), redundant=((5, "y"), (6, "z")))
    right = Track({}, (), (), [start, complete], [start, complete])
    late = Track({}, (), (), [start, complete], [start, other])
    assert mistakes(found, right) == 4
    assert mistakes(found, late) == 6  # missed at its frame, and made at another
    assert mistakes(Matching((pair(0.9),), (), ()), right) == 0
