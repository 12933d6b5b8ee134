"""Claims: a sweep equals counting at every threshold; the best of val is chosen and no other split is looked at; all
of it follows from what a run stored."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.evaluation.thresholds import chosen, main, sweep, swept

frames = st.lists(st.tuples(st.booleans(), st.integers(0, 10)), max_size=40)


def arrays(case):
    return np.array([label for label, _ in case], bool), np.array([score / 10 for _, score in case])


def counted(labels, scores, threshold):
    """One frame after the other."""
    hits = calls = events = 0
    for label, score in zip(labels, scores, strict=True):
        hits, calls, events = hits + (label and score > threshold), calls + (score > threshold), events + bool(label)
    return {
        "precision": hits / calls if calls else 0,
        "recall": hits / events if events else 0,
        "f1": 2 * hits / (calls + events) if calls + events else 0,
    }


def rows(case, clips: int = 2) -> list[dict]:
    """The frames parted among clips; both decisions alike."""
    parts = [case[number::clips] for number in range(clips)]
    told = [{"at": [i for i, (yes, _) in enumerate(part) if yes], "p": [s / 10 for _, s in part]} for part in parts]
    return [{"id": str(number), "speak": each, "dst": each} for number, each in enumerate(told)]


@given(frames, st.floats(0, 1))
def test_a_sweep_equals_counting_at_every_threshold(case, threshold):
    labels, scores = arrays(case)
    found = swept(labels, scores)
    assert list(found["theta"]) == sorted({0.0, *scores})
    place = int(np.searchsorted(found["theta"], threshold, side="right")) - 1  # the last row at or below it
    for name, value in counted(labels, scores, threshold).items():
        assert found[name][place] == pytest.approx(value)
        assert np.isfinite(found[name]).all()


@given(frames, frames)
def test_the_best_on_val_is_chosen(val, test):
    theta = chosen({"val": rows(val), "test": rows(test)})["speak"]
    assert theta == chosen({"val": rows(val, clips=3)})["dst"]
    curve = swept(*arrays(val))
    assert counted(*arrays(val), theta)["f1"] == pytest.approx(max(curve["f1"]))


@given(frames, frames, st.floats(0, 1))
def test_every_split_is_told_at_the_thresholds_and_at_all_others(val, test, threshold):
    found = sweep({"val": rows(val), "test": rows(test)}, {"speak": threshold, "dst": 0.5})
    json.dumps(found, allow_nan=False)
    assert found["chosen_on"] == "val"
    assert (found["decisions"]["speak"]["threshold"], found["decisions"]["dst"]["threshold"]) == (threshold, 0.5)
    for split, case in (("val", val), ("test", test)):
        told = found["decisions"]["speak"]["splits"][split]
        assert (told["frames"], told["events"]) == (len(case), sum(label for label, _ in case))
        for name, value in counted(*arrays(case), threshold).items():
            assert told[name] == pytest.approx(value)
        for name, values in swept(*arrays(case)).items():
            assert told["curve"][name] == pytest.approx(list(values), abs=1e-6)


def test_without_val_it_is_one_half():
    assert chosen({"test": rows([(True, 9)])}) == chosen({"val": []}) == {"speak": 0.5, "dst": 0.5}
    assert sweep({"test": rows([(True, 9)])}, chosen({}))["chosen_on"] is None


CASE = [(True, 9), (False, 2), (True, 7), (False, 8), (False, 1)]


def test_it_is_done_again_from_a_run_folder(tmp_path, capsys):
    (tmp_path / "predictions").mkdir()
    for name in ("val", "test", "test.watched"):
        each = rows(CASE) if name != "test.watched" else [{"id": "a"}]
        (tmp_path / "predictions" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in each))
    before = sorted(tmp_path.rglob("*"))
    assert main([str(tmp_path)]) == 0
    assert sorted(tmp_path.rglob("*")) == before
    assert "speak test 0.667 1.000 0.800 0.833 0.450" in " ".join(capsys.readouterr().out.split())
    assert main([str(tmp_path), "--json", str(tmp_path / "new.json")]) == 0
    stored = {"test": rows(CASE), "val": rows(CASE)}
    assert json.loads((tmp_path / "new.json").read_text()) == sweep(stored, chosen(stored))


def test_a_folder_without_val_is_refused(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "predictions/val.jsonl holds no decisions" in capsys.readouterr().err
