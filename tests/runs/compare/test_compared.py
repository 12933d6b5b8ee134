"""Groups over seeds, their baseline, and tests over seeds or samples."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from prospect.errors import UserError
from prospect.runs.compare.compared import compared
from prospect.runs.compare.find import folders as found
from prospect.runs.compare.index import index
from prospect.runs.compare.metrics import chosen

WEIGHTS = [{"loss.weight": weight} for weight in (1.0, 0.5, 2.0)]


def comparison(root, **how):
    return compared(index(found([str(root)])), **how)


def test_groups_have_mean_and_spread_over_their_seeds(folders):
    of = comparison(folders.sweep("sweep", WEIGHTS))
    assert [group.name for group in of.groups] == ["weight=2.0", "weight=0.5", "weight=1.0"]  # the best first
    assert of.keys == ["loss.weight"]
    summary = of.groups[0].summaries["test/accuracy"]
    values = [0.7, 0.712, 0.728]
    assert summary.by_seed == pytest.approx({0: 0.7, 1: 0.712, 2: 0.728})
    assert (summary.mean, summary.std, summary.count) == pytest.approx((np.mean(values), np.std(values, ddof=1), 3))
    assert of.best.name == "sweep/8"


def test_tests_over_seeds_with_holms_correction(folders):
    of = comparison(folders.sweep("sweep", WEIGHTS), baseline="weight=1")
    by_name = {group.name: list(group.summaries["test/accuracy"].by_seed.values()) for group in of.groups}
    ps = {t.group: stats.ttest_rel(by_name[t.group], by_name["weight=1.0"]).pvalue for t in of.tests}
    assert of.baseline == "weight=1.0"
    assert {t.group: t.p for t in of.tests} == pytest.approx(ps, abs=1e-12)
    assert {(t.pairs, t.count) for t in of.tests} == {("seeds", 3)}
    small, large = sorted(of.tests, key=lambda t: t.p)
    assert (small.p_holm, large.p_holm) == pytest.approx((2 * small.p, max(2 * small.p, large.p)))


def test_no_p_under_three_seeds(folders):
    of = comparison(folders.sweep("sweep", WEIGHTS[:2], seeds=2))
    assert [(t.count, t.p, t.p_holm, t.low) for t in of.tests] == [(2, None, None, None)]


def test_only_common_seeds_are_paired(folders):
    for seed in range(4):
        folders.write(f"a{seed}", seed, metrics={"test/accuracy": 0.5 + seed / 100})
        folders.write(f"b{seed}", seed + 1, {"loss.weight": 2.0}, {"test/accuracy": 0.6 + seed**2 / 100})
    (test,) = comparison(folders.root).tests
    assert test.count == 3
    assert test.difference == pytest.approx(np.mean([0.60, 0.61, 0.64]) - np.mean([0.51, 0.52, 0.53]))


def test_of_runs_that_are_the_same_the_newest_counts(folders):
    folders.write("old", metrics={"test/accuracy": 0.1}, started="2026-01-01T00:00:00+00:00")
    folders.write("new", metrics={"test/accuracy": 0.9}, started="2026-02-01T00:00:00+00:00")
    of = comparison(folders.root)
    assert of.groups[0].summaries["test/accuracy"].by_seed == {0: 0.9}
    assert "1 of its runs repeats" in of.notes[0]


def test_only_finished_runs_count(folders, dead):
    folders.write("done", 0, metrics={"test/accuracy": 0.5})
    folders.write("killed", 1, metrics={"test/accuracy": 0.9}, status="RUNNING", process=dead)
    of = comparison(folders.root)
    assert len(of.groups[0].entries) == 2
    assert of.groups[0].summaries["test/accuracy"].count == 1
    assert of.best.name == "done"


def test_by_some_keys_the_others_are_averaged_within_a_seed(folders):
    for number, (weight, rate) in enumerate([(1.0, 1), (1.0, 2), (2.0, 1), (2.0, 2)]):
        for seed in (0, 1):
            config = {"loss.weight": weight, "trainer.args.rate": rate}
            folders.write(f"{number}-{seed}", seed, config, {"test/accuracy": number / 10 + seed / 100})
    assert len(comparison(folders.root).groups) == 4
    of = comparison(folders.root, by=["weight"])
    assert {g.name: dict(g.summaries["test/accuracy"].by_seed) for g in of.groups} == {
        "weight=1.0": pytest.approx({0: 0.05, 1: 0.06}),
        "weight=2.0": pytest.approx({0: 0.25, 1: 0.26}),
    }
    assert [g.settings for g in comparison(folders.root, by=["seed"]).groups] == [{"seed": 1}, {"seed": 0}]


def test_absent_is_not_null(folders):
    folders.write("a", config={"model.path": None})
    folders.write("b", config={"model.path": ...})
    of = comparison(folders.root)
    assert {group.name: group.settings for group in of.groups} == {
        "path=null": {"model.path": None},
        "path=(absent)": {"model.path": "(absent)"},
    }


def test_a_loss_is_better_when_it_is_lower(folders):
    folders.sweep("sweep", WEIGHTS[:2], metric="val/loss")
    of = comparison(folders.root, metric=["val/loss"])
    assert of.best.name == "sweep/0"
    assert of.groups[0].name == "weight=1.0"


def test_a_pattern_is_all_that_match_it_in_order(folders):
    folders.write("a", metrics={f"test/user/{user}/{name}": 0.5 for user in (10, 2) for name in ("exact", "loss")})
    entries = index(found([str(folders.root)]))
    asked = ["test/user/*/exact", "test/user/2/*"]
    assert chosen(entries, asked) == ["test/user/2/exact", "test/user/10/exact", "test/user/2/loss"]
    with pytest.raises(UserError, match=r"metric=tset/\*: no run has such a metric"):
        chosen(entries, ["tset/*"])


def test_headlines_are_shown_of_test_else_of_val(folders):
    folders.write("a", metrics={"val/accuracy": 1.0, "test/accuracy": 0.5, "val/dialogue/f1": 0.1, "train/seconds": 1})
    assert comparison(folders.root).metrics == ["val/dialogue/f1", "test/accuracy"]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"metric": ["test/acuracy"]}, "did you mean test/accuracy"),
        ({"metric": ["accuracy"]}, "did you mean test/accuracy"),
        ({"by": ["wieght"]}, "did you mean weight"),
        ({"baseline": "weight=7"}, "did you mean weight=1.0"),
        ({"baseline": "wieght=1.0"}, "did you mean weight"),
        ({"baseline": "grid=[1,1]"}, "no run has such a key"),
    ],
)
def test_a_slip_has_its_nearest_right_word(folders, how, message):
    folders.sweep("sweep", WEIGHTS[:2])
    with pytest.raises(UserError, match=message.replace("[", r"\[")):
        comparison(folders.root, **how)


def watched(folder, hits, events=None):
    rows = [
        {"id": f"v{n}", "first": 0, "happened": (events or {}).get(n, []), "shares": {"dialogue/f1": [2 * hit, 20]}}
        for n, hit in enumerate(hits)
    ]
    (folder / "predictions").mkdir()
    (folder / "predictions" / "test.watched.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("spoilt", [False, True])
def test_under_three_seeds_the_same_videos_are_compared(folders, spoilt):
    hits, more = [1, 2, 3, 4, 5], [2, 4, 4, 6, 9]
    one = folders.write("one", metrics={"test/dialogue/f1": np.mean(hits) / 10})
    two = folders.write("two", config={"loss.weight": 2.0}, metrics={"test/dialogue/f1": np.mean(more) / 10})
    watched(one, hits)
    watched(two, [*more, 1], events={0: [[1, "S1", "start"]]})  # the first video is another one, the last one is new
    if spoilt:
        (two / "predictions" / "test.watched.jsonl").write_text('{"id": "v0"')
    (test,) = comparison(folders.root, baseline="weight=1").tests
    if spoilt:
        assert (test.pairs, test.count, test.p) == ("seeds", 1, None)
    else:
        assert (test.pairs, test.count) == ("videos", 4)
        assert test.difference == pytest.approx((np.mean(more[1:]) - np.mean(hits[1:])) / 10, abs=1e-12)
        assert test.p == pytest.approx(2 / 2**4)


def test_pairs_can_be_asked_for(folders):
    folders.sweep("sweep", WEIGHTS[:2])
    for folder in found([str(folders.root)]):
        rows = [{"id": str(n), "label": "x", "correct": n % 2 == 0} for n in range(6)]
        (folder / "predictions").mkdir()
        (folder / "predictions" / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert [(t.pairs, t.count) for t in comparison(folders.root).tests] == [("seeds", 3)]
    assert [(t.pairs, t.count, t.p) for t in comparison(folders.root, pairs="samples").tests] == [("samples", 6, 1.0)]
