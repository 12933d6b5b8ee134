"""Claims: matching equals trying everything; an oracle scores 1, silence 0; the published fault can be repeated; the
numbers in docs/dialogue_metrics.md are true."""

from __future__ import annotations

import random
from itertools import product
from math import isfinite
from pathlib import Path

import numpy as np
import pytest

from prospect.errors import UserError
from prospect.evaluation.dialogue import WINDOWS, counts, in_frames, matching, rates, window_of
from prospect.evaluation.pooling import micro, pooled
from prospect.evaluation.similarity import TfIdf

DOCS = Path(__file__).parents[2] / "docs" / "dialogue_metrics.md"
NOWHERE = 1000.0
GOOD = ("precision", "recall", "f1", "jaccard", "similarity", "meteor", "bleu_1", "bleu_4", "bleu_4_weighted")


class Table:
    """An encoder by hand: cosines by pair of texts, 1 of equal texts, 0 of what is not listed."""

    name = "table"

    def __init__(self, cosines: dict[tuple[str, str], float]) -> None:
        self._cosines = cosines

    def cosines(self, pairs):
        return np.array([1.0 if a == b else self._cosines.get((a, b), 0.0) for a, b in pairs], float)


def tried(predictions, references, window, encoder, frames, strict):
    """All best matchings, each as its set of (prediction, reference) frames, by trying every assignment."""
    texts, (left, right) = dict(references), window
    options = []
    for at, text in predictions:
        costs = {None: NOWHERE}
        for frame in frames:
            if left <= frame - at <= right:
                sem = 1 - abs(encoder.cosines([(text, texts[frame])])[0]) if frame in texts else 1
                cost = sem + 0.3 * (abs(at - frame) / max(abs(left), right)) ** 1.5 if at != frame else sem
                if cost or not strict:
                    costs[frame] = cost
        options.append(list(costs.items()))
    found = []
    for chosen in product(*options):
        taken = [frame for frame, _ in chosen if frame is not None]
        if len(set(taken)) == len(taken):
            found.append((sum(cost for _, cost in chosen), [frame for frame, _ in chosen]))
    best = min(cost for cost, _ in found)
    return [
        {(at, frame) for (at, _), frame in zip(predictions, taken, strict=True) if frame in texts}
        for cost, taken in found
        if cost <= best + 1e-9
    ]


@pytest.mark.parametrize("strict", [False, True])
def test_matching_equals_trying_everything_on_500_cases(strict):
    rng, busy = random.Random(0), 0
    for _ in range(500):
        length = rng.randint(1, 7)
        frames = range(start := rng.randint(0, 3), start + length)
        predictions, references = (
            [(at, rng.choice("abcd")) for at in sorted(rng.sample(frames, rng.randint(0, min(4, length))))]
            for _ in range(2)
        )
        window = (-rng.randint(0, 3), rng.randint(0, 4))
        table = Table({(a, b): rng.choice([-1, -0.8, 0, 0.3, 0.5, 0.9]) for a in "abcd" for b in "abcd"})
        found = matching(predictions, references, window, table, frames, strict)
        pairs = {(pair.predicted[0], pair.reference[0]) for pair in found.pairs}
        assert pairs in tried(predictions, references, window, table, frames, strict)
        assert len(found.pairs) + len(found.redundant) == len(predictions)
        assert len(found.pairs) + len(found.missed) == len(references)
        assert {at for at, _ in pairs} | {at for at, _ in found.redundant} == {at for at, _ in predictions}
        busy += len(pairs) > 1
    assert busy > 80  # cases with a choice to make


def test_frames_that_the_video_does_not_have_cannot_be_taken():
    table = Table({("x", "ref"): 0.95})
    crowd = [(0, "ref"), (1, "x")]  # unlimited, and limited to the frames there are
    assert len(matching(crowd, [(0, "ref")], (-2, 2), table).pairs) == 1
    found = matching([(0, "x"), (1, "ref")], [(0, "ref"), (1, "y")], (-1, 0), table, range(2))
    assert {(p.predicted[0], p.reference[0]) for p in found.pairs} == {(0, 0), (1, 1)}


TEXTS = ["First is the red disc.", "Good, the red disc is in place.", "Next is the blue ring.", "All done.", "…"]


def oracle():
    return [[(5 * i + 3, text) for i, text in enumerate(TEXTS)], [(0, TEXTS[0])], []]


def scored(predicted, strict=False, window=(-4, 8), encoder=None):
    encoder = encoder or TfIdf(TEXTS)
    pairs = zip(predicted, oracle(), strict=True)
    return [counts(matching(mine, true, window, encoder, strict_proassist=strict), 2.0) for mine, true in pairs]


def test_an_oracle_scores_one_on_everything():
    videos = scored(oracle())
    for name, value in pooled(videos, rates).items():
        wanted = 0 if name in ("missing", "redundant", "time_difference") else 1
        assert (value.micro, value.macro, value.low, value.high) == pytest.approx((wanted,) * 4), name


def test_silence_scores_zero_and_misses_all():
    for name, value in pooled(scored([[], [], []]), rates).items():
        wanted = 1 if name == "missing" else 0
        assert (value.micro, value.macro, value.low, value.high) == pytest.approx((wanted,) * 4), name


def test_a_video_without_references_has_defined_values():
    table = Table({})
    quiet, chatty = (counts(matching(said, [], (-4, 8), table), 2.0) for said in ([], [(3, "Hello.")]))
    assert all(isfinite(value) for video in ([quiet], [chatty], []) for value in micro(video, rates).values())
    assert set(micro([quiet], rates).values()) == {0.0}
    assert set(micro([], rates).values()) == {0.0}
    found = micro([chatty], rates)
    assert found["redundant"] == 1
    assert sum(found.values()) == 1
    right = counts(matching([(3, "Hello.")], [(3, "Hello.")], (-4, 8), table), 2.0)
    both = pooled([right, quiet], rates)
    assert both["f1"].macro == 1  # nothing to measure where nothing was wanted and nothing said
    assert pooled([right, chatty], rates)["f1"].macro == 0.5
    assert pooled([right, chatty], rates)["f1"].micro == pytest.approx(2 / 3)


def test_the_published_matcher_drops_what_is_exactly_right():
    right = micro(scored(oracle(), strict=True), rates)
    shifted = [[(frame + 1, text) for frame, text in video] for video in oracle()]
    assert right["f1"] < 0.5
    assert micro(scored(shifted, strict=True), rates)["f1"] == 1  # and not what is a little off
    assert micro(scored(oracle()), rates)["f1"] == 1
    only = matching([(0, "a")], [(0, "a")], (0, 0), Table({}), range(1), strict_proassist=True)
    assert (len(only.pairs), len(only.redundant), len(only.missed)) == (0, 1, 1)


def test_the_example_of_the_docs():
    references = [(10, "First is the disc."), (20, "Good."), (30, "Next is the ring."), (50, "All done.")]
    predictions = [(12, "Next is the disc."), (20, "Good."), (29, "Stop."), (40, "All done.")]
    table = Table({("Next is the disc.", "First is the disc."): 0.6})
    window = in_frames(window_of("assembly101"), 2)
    assert window == (-4, 8)
    found = matching(predictions, references, window, table, range(60))
    assert [(p.predicted[0], p.reference[0], p.correct) for p in found.pairs] == [(12, 10, True), (20, 20, True)]
    assert [round(pair.cost, 4) for pair in found.pairs] == [0.4375, 0]
    assert [pair.score for pair in found.pairs] == [0.6, 1]
    assert [frame for frame, _ in found.redundant] == [29, 40]
    assert [frame for frame, _ in found.missed] == [30, 50]
    values = micro([counts(found, 2)], rates)
    assert [values[name] for name in ("precision", "recall", "f1", "missing", "redundant")] == [0.5] * 5
    assert values["jaccard"] == pytest.approx(1 / 3)
    assert values["time_difference"] == 0.5
    assert values["similarity"] == pytest.approx(0.8)
    strict = counts(matching(predictions, references, window, table, range(60), strict_proassist=True), 2)
    assert [strict[key] for key in ("matched", "correct", "redundant", "missed")] == [1, 1, 3, 3]
    assert micro([strict], rates)["f1"] == 0.25
    told = " ".join(DOCS.read_text("utf-8").split())
    for text in [*(f"frame {frame}: `{text}`" for frame, text in references + predictions)]:
        assert text in told
    for text in ("0.4375", "(1/8)^1.5 = 0.0133", "M = 2, C = 2, R = 2, X = 2", "jaccard 2/6 = 0.333", "= 0.5 s"):
        assert text in told
    assert "M = 1, C = 1, R = 3, X = 3, F1 = 0.25" in told
    assert round(0.3 * (1 / 8) ** 1.5, 4) == 0.0133


def test_a_wrong_text_at_the_right_frame_is_matched_and_not_correct():
    found = matching([(4, "a")], [(4, "b")], (-2, 2), Table({("a", "b"): 0.5}))
    assert len(found.pairs) == 1
    assert not found.pairs[0].correct  # above one half, not at it
    values = micro([counts(found, 2)], rates)
    assert (values["f1"], values["missing"], values["redundant"], values["bleu_1"]) == (0, 0, 0, 0)
    assert matching([(4, "a")], [(4, "b")], (-2, 2), Table({("a", "b"): -0.9})).pairs[0].correct  # |cos|


def test_rates_equal_their_formulas_on_random_counts():
    rng = random.Random(1)
    for _ in range(100):
        correct = rng.randint(0, 5)
        matched, missed, redundant = correct + rng.randint(0, 3), rng.randint(0, 5), rng.randint(0, 5)
        video = counts(matching([], [], (0, 0), Table({})), 2) | {
            "matched": matched,
            "missed": missed,
            "redundant": redundant,
            "correct": correct,
        }
        video |= {"seconds": 1.5 * correct, "meteor": 0.5 * correct, "score": 0.75 * correct}
        found = micro([video], rates)
        precision = correct / (matched + redundant) if matched + redundant else 0
        recall = correct / (matched + missed) if matched + missed else 0
        assert found["precision"] == pytest.approx(precision)
        assert found["recall"] == pytest.approx(recall)
        mean = 2 * precision * recall / (precision + recall) if precision + recall else 0
        assert found["f1"] == pytest.approx(mean)
        jaccard = correct / (matched + missed + redundant) if matched + missed + redundant else 0
        assert found["jaccard"] == pytest.approx(jaccard)
        assert found["missing"] == pytest.approx(missed / (matched + missed) if matched + missed else 0)
        assert found["redundant"] == pytest.approx(redundant / (matched + redundant) if matched + redundant else 0)
        assert found["time_difference"] == pytest.approx(1.5 if correct else 0)
        assert found["similarity"] == pytest.approx(0.75 if correct else 0)
        assert found["meteor_weighted"] == pytest.approx(0.5 * jaccard)


def test_time_difference_and_overlap_are_of_correct_pairs_alone():
    table = Table({("a b c", "a b d"): 0.9, ("x", "y"): 0.1})
    found = matching([(4, "a b c"), (40, "x")], [(1, "a b d"), (40, "y")], (-4, 8), table)
    assert len(found.pairs) == 2
    video = counts(found, 2)
    assert video["seconds"] == 1.5
    early = matching([(1, "a b c")], [(5, "a b d")], (-4, 8), table)
    assert counts(early, 2)["seconds"] == 2
    assert (video["hits_1"], video["grams_1"], video["hits_2"], video["grams_2"]) == (2, 3, 1, 2)
    assert micro([video], rates)["bleu_1_weighted"] == pytest.approx(2 / 3 * 0.5)


def test_windows():
    assert WINDOWS == {
        "narration": (-2.5, 2.5),
        "assembly101": (-2, 4),
        "ego4d": (-4, 8.5),
        "epickitchens": (-1.5, 3),
        "holoassist": (-1.5, 2.5),
        "egoexolearn": (-2, 3.5),
        "wtag": (-3, 6),
    }
    assert window_of("assembly101_dst_demo") == WINDOWS["assembly101"] == (-2, 4)
    assert window_of("ego4d/narration") == (-2.5, 2.5)
    assert in_frames((-4, 8.5), 2) == (-8, 17)
    assert in_frames((-1.5, 3), 1) == (-1, 3)  # whole frames within it
    assert in_frames((-4.35, 4.35), 100) == (-435, 435)
    with pytest.raises(UserError, match=r"kitchen.*known are"):
        window_of("kitchen")
    assert in_frames((0, 0), 2) == (0, 0)
    for window in ((0.5, 3), (-3, -0.5)):
        with pytest.raises(UserError, match="window"):
            in_frames(window, 2)


def test_distance_is_measured_by_the_longer_side_of_the_window():
    for window, cost in (((-1, 1), 0.3), ((-2, 1), 0.3 / 8**0.5), ((-1, 2), 0.3 / 8**0.5)):
        (pair,) = matching([(4, "a")], [(5, "a")], window, Table({})).pairs
        assert pair.cost == pytest.approx(cost)


def test_two_utterances_at_one_frame_are_refused():
    for said, wanted in (([(1, "a"), (1, "b")], []), ([], [(1, "a"), (1, "b")])):
        with pytest.raises(AssertionError, match="one frame"):
            matching(said, wanted, (-1, 1), Table({}))
