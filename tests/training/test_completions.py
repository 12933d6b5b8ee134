"""Claim: what a policy says is written once, shown now and then on a screen alone, and flat groups are counted."""

from __future__ import annotations

import io
import json
import logging

from rich.console import Console

from prospect.training.completions import EVERY, LONGEST, Completion, Completions, cut

NAN = float("nan")


def said(*rewards: float, text: str = "fire") -> list[Completion]:
    return [Completion("what is it?", text, {"exact": reward}, {"exact": 2.0}, 0.1) for reward in rewards]


def test_lines_hold_the_weighted_reward_and_each_generation_once(tmp_path):
    keep = Completions(tmp_path, lambda: None)
    keep.heard(said(1.0, NAN), 2)
    keep.write(3)
    keep.write(4)
    rows = [json.loads(line) for line in keep.path.read_text().splitlines()]
    assert [(row["step"], row["reward"], row["rewards/exact"]) for row in rows] == [(3, 2.0, 1.0), (3, "nan", "nan")]
    keep.begin(2)
    assert keep.path.read_text() == ""


def test_groups_without_spread_are_counted_and_warned_about_once(tmp_path, caplog):
    keep = Completions(tmp_path, lambda: None)
    with caplog.at_level(logging.WARNING):
        assert keep.heard(said(1.0, 1.0, 0.0, 1.0, 0.5, NAN), 2) == 2  # of a pair with one failure nothing is learnt
        for _ in range(10):
            keep.heard(said(1.0, 1.0, 0.0, 0.0), 2)
    assert keep.groups == [22, 23]
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "in 20 of 21 groups every completion earned the same reward, and 1 of all completions none at all"
    ]
    again = Completions(tmp_path, lambda: None)
    again.restore(json.loads(json.dumps(keep.state())))
    assert again.groups == keep.groups
    assert again.newest == keep.newest
    assert again.lost == keep.lost == 1


def test_panels_are_rare_short_and_never_markup(tmp_path):
    now, out = [0.0], io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    keep = Completions(tmp_path, lambda: console, lambda: now[0])
    for step, time in enumerate((0.0, EVERY / 2, EVERY + 1)):
        now[0] = time
        keep.heard(said(1.0, 0.0, text="[red]words[/red] " * 200), 2)
        keep.write(step)
    shown = out.getvalue()
    assert ["step 0:" in shown, "step 1:" in shown, "step 2:" in shown] == [True, False, True]
    assert "[red]words[/red]" in shown
    assert "reward 2" in shown
    assert len(cut("a " * 1000)) == LONGEST + 1
