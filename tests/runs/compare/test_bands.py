"""The bands: means and ranges by brute force, and curves of folders that are whole, half or strange."""

from __future__ import annotations

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from tests.runs.compare.test_page import compared, entry

from prospect.runs.compare import bands
from prospect.runs.compare.bands import band, calm, curves_of

values = st.floats(allow_nan=True, allow_infinity=True)
seeds = st.lists(st.dictionaries(st.integers(0, 8), values), min_size=1, max_size=5)


@given(seeds)
def test_a_band_is_mean_lowest_and_highest_of_each_shared_step(curves):
    found = band(curves)
    shared = [step for step in range(9) if all(step in curve for curve in curves)]
    assert list(found) == shared
    for step in shared:
        there = [curve[step] for curve in curves]
        if not all(map(math.isfinite, there)):
            assert all(map(math.isnan, found[step]))
            continue
        mean, low, high = found[step]
        assert (low, high) == (min(there), max(there))
        assert low <= mean <= high
        exact = sum(map(Fraction, there)) / len(there)  # without rounding, and without an end to its range
        assert abs(Fraction(mean) - exact) <= Fraction(1e-15) * 8 * max(map(abs, map(Fraction, there))) + Fraction(
            1e-300
        )


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=61, max_size=300))
def test_a_noisy_curve_is_its_moving_mean(ys):
    found = calm(dict(enumerate(ys)))
    half = max(1, len(ys) // 30 // 2)
    assert list(found) == list(range(len(ys)))
    starts = [i for i in range(len(ys)) if not math.isnan(ys[i]) and (i == 0 or math.isnan(ys[i - 1]))]
    for start in starts:
        end = next((i for i in range(start, len(ys)) if math.isnan(ys[i])), len(ys))
        for i in range(start, end):  # of its own stretch alone
            near = ys[max(start, i - half) : min(end, i + half + 1)]
            assert math.isclose(found[i], math.fsum(near) / len(near), rel_tol=1e-9, abs_tol=1e-6)
    assert [i for i in found if math.isnan(found[i])] == [i for i, y in enumerate(ys) if math.isnan(y)]


def test_a_calm_curve_stays_as_it_is():
    curve = dict.fromkeys(range(60), 1.0) | {30: 5.0}
    assert calm(curve) == curve


def rows(*losses, start=10):
    return [{"step": start + 10 * i, "train/loss": loss} for i, loss in enumerate(losses)]


def test_lines_are_drawn_through_the_means(tmp_path):
    runs = [
        entry(tmp_path, "a", seed=0, weight=1.0, rows=rows(4.0, 2.0, 1.0)),
        entry(tmp_path, "b", seed=1, weight=1.0, rows=rows(2.0, 2.0, 3.0)),
        entry(tmp_path, "c", seed=0, weight=2.0, rows=rows(8.0, 8.0, 8.0)),
    ]
    drawn = curves_of(compared(runs))
    (chart,) = drawn.first
    assert [line.points for line in chart.lines] == [[(10, 3), (20, 2), (30, 2)], [(10, 8), (20, 8), (30, 8)]]
    x, y = chart.x, chart.y
    assert chart.lines[0].band == (
        f"M{x(10)},{y(4)} L{x(20)},{y(2)} L{x(30)},{y(3)} L{x(30)},{y(1)} L{x(20)},{y(2)} L{x(10)},{y(2)} Z"
    )
    assert chart.lines[1].band is None
    assert [member.told for member in drawn.members] == ["2 runs", "1 run"]


def test_what_a_resume_did_again_counts_once(tmp_path):
    again = [*rows(9.0, 9.0, 9.0), *rows(5.0, 4.0, start=20)]
    (chart,) = curves_of(compared([entry(tmp_path, "a", seed=0, weight=1.0, rows=again)])).first
    assert chart.lines[0].points == [(10, 9), (20, 5), (30, 4)]


def test_a_failed_run_is_no_part_of_the_mean(tmp_path):
    runs = [
        entry(tmp_path, "a", seed=0, weight=1.0, rows=rows(4.0, 2.0, 1.0)),
        entry(tmp_path, "b", state="FAILED", seed=1, weight=1.0, rows=rows(9.0)),
    ]
    drawn = curves_of(compared(runs))
    assert drawn.first[0].lines[0].points == [(10, 4), (20, 2), (30, 1)]
    assert drawn.members[0].told == "1 of 2 runs"


def test_runs_that_still_go_on_are_drawn_and_said_to(tmp_path):
    drawn = curves_of(compared([entry(tmp_path, "a", state="RUNNING", seed=0, weight=1.0, rows=rows(2.0, 1.0))]))
    assert drawn.members[0].told == "1 run, not done"
    assert drawn.first[0].lines[0].points == [(10, 2), (20, 1)]


def test_broken_rows_and_numbers_are_said(tmp_path):
    runs = [
        entry(tmp_path, "a", seed=0, weight=1.0, rows=rows(4.0, "nan", "NaN", 1.0)),
        entry(tmp_path, "b", seed=1, weight=1.0, rows=rows(2.0, 2.0, 2.0, "Infinity")),
    ]
    with (tmp_path / "b" / "metrics.jsonl").open("ab") as file:
        file.write(b'[1]\n{"step": 50, "train/loss": NaN}\n{"step": true, "train/loss": null}\n{"step": 60, "tra\xff')
    drawn = curves_of(compared(runs))
    (line,) = drawn.first[0].lines
    assert line.points == [(10, 3)]
    assert line.broken == [20, 30, 40]
    assert "b: 2 of its metrics.jsonl's lines cannot be read." in drawn.notes
    assert "train/loss of weight=1.0 is NaN at step 20." in drawn.notes


def test_runs_without_a_step_in_common_have_no_line_and_it_is_said(tmp_path):
    runs = [
        entry(tmp_path, "a", seed=0, weight=1.0, rows=rows(4.0, 2.0)),
        entry(tmp_path, "b", seed=1, weight=1.0, rows=rows(4.0, 2.0, start=15)),
    ]
    drawn = curves_of(compared(runs))
    assert drawn.first == []
    assert "train/loss of weight=1.0: its runs have no step in common." in drawn.notes


def test_the_baseline_and_the_first_groups_are_drawn(tmp_path):
    runs = [entry(tmp_path, f"r{i}", seed=0, weight=i / 100, f1=0.5) for i in range(10, 30)]
    comparison = compared(runs)
    drawn = curves_of(compared(runs, baseline=comparison.groups[-1].name))
    assert [member.place for member in drawn.members] == [19, 0, 1, 2, 3, 4, 5, 6]
    assert drawn.notes == ["8 of 20 groups are drawn: the baseline and the first ones."]


def test_the_deciding_metric_and_the_losses_come_first_and_one_value_is_no_curve(tmp_path):
    both = [{"step": s, "train/loss": 1.0, "val/loss": 1.0, "val/speak/f1": 0.1, "val/zeta": s} for s in (1, 2)]
    both += [{"step": 2, "val/once": 3.0, "train/learning_rate": 1.0}]
    drawn = curves_of(compared([entry(tmp_path, "a", seed=0, weight=1.0, rows=both)]))
    assert [chart.name for chart in drawn.first] == ["val/speak/f1", "val/loss", "train/loss", "val/zeta"]


def test_a_long_curve_has_few_points(tmp_path):
    long = [{"step": s, "train/loss": math.sin(s) + 2} for s in range(1, 5001)]
    runs = [entry(tmp_path, f"r{i}", seed=i, weight=1.0, rows=long) for i in range(2)]
    (line,) = curves_of(compared(runs)).first[0].lines
    assert len(line.points) <= 2 * bands.BUCKETS + 2
