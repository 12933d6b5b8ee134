"""What a scored stream leaves in predictions is what its metrics were made of, frame by frame."""

from __future__ import annotations

import numpy as np
import pytest

from prospect.data.assembly.demo import assembly101_dst_demo
from prospect.evaluation.decisions import average_precision, rates
from prospect.evaluation.footage import illustrated
from prospect.evaluation.watched import scored
from prospect.models.stream import for_streams
from prospect.training.audit import encoded_split
from prospect.training.collate import Item
from prospect.training.teacher_forced import Decided, TeacherForced

THRESHOLDS = {"speak": 0.40005, "dst": 0.60005}  # between the digits that are written


@pytest.fixture(scope="module")
def clips(cache):
    nothing = {"captions": 0, "captions_count": 0, "dense": 0, "dense_count": 0}
    return assembly101_dst_demo(train=2, val=3, test=2, **nothing)


def drawn(items: list[Item]) -> TeacherForced:
    """A model of chance, with the frames of a clip in order and the clips in any."""
    random, decided = np.random.default_rng(0), Decided()
    for index in random.permutation(len(items)):
        sample, encoded = items[index].sample, items[index].encoded
        decided.samples.extend([sample.id] * len(encoded.points))
        decided.kinds.extend(decision.kinds for decision in encoded.decisions.values())
        decided.labels = np.concatenate([decided.labels, encoded.right])
    p = random.integers(1, 10_000, decided.labels.shape) / 10_000
    decided.logits = np.log(p / (1 - p))
    return TeacherForced(0.0, {}, {}, {}, decided)


@pytest.mark.parametrize("max_length", [None, 260])
def test_metrics_follow_from_predictions(vlm, clips, max_length):
    items = encoded_split(for_streams(vlm, 0), clips.splits["val"], "toys/val", max_length)
    found = scored(drawn(items), THRESHOLDS)
    rows = illustrated(found.predictions, [item.sample for item in items], THRESHOLDS)
    frames = [(s.id, n) for s in clips.splits["val"] for f in s.frames for n in range(f.start, f.stop)]
    told = [(row["id"].partition("#")[0], n) for row in rows for span in row["numbers"] for n in range(*span)]
    assert sorted(told) == sorted(frames)  # each frame is decided once, whatever is split
    wrong = 0
    for name, threshold in THRESHOLDS.items():
        labels = np.concatenate([np.isin(np.arange(row["frames"]), row[name]["at"]) for row in rows])
        called = np.concatenate([row[name]["p"] for row in rows]) > threshold
        wrong += (labels != called).sum()
        for rate, value in rates(labels, called).items():
            assert value == pytest.approx(found.metrics[f"{name}/{rate}"])
        clips = [(np.isin(np.arange(row["frames"]), row[name]["at"]), np.array(row[name]["p"])) for row in rows]
        each = {"f1": [rates(labels, p > threshold)["f1"] for labels, p in clips]}
        each["ap"] = [average_precision(labels, p) for labels, p in clips if labels.any()]
        for rate, values in each.items():
            low, high, macro = (found.metrics[f"{name}/{rate}_{end}"] for end in ("low", "high", "macro"))
            assert macro == pytest.approx(np.mean(values))
            assert low <= found.metrics[f"{name}/{rate}"] <= high
            assert rate == "ap" or min(values) <= low <= high <= max(values)  # an F1 of sums lies between the F1s
        hits, both = (sum(row["shares"][f"{name}/f1"][place] for row in rows) for place in (0, 1))
        assert hits / both == pytest.approx(found.metrics[f"{name}/f1"], abs=1e-15)
        eventful = {(row["id"], at) for row in rows for at in row[name]["at"]}
        assert {(row["id"], at) for row in rows for at, kind in row["events"] if kind.startswith(name)} == eventful
    assert sum(row["wrong"] for row in rows) == wrong
    assert sum("thumbnails" in row for row in rows) == min(12, len(rows))
