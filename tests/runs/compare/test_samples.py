"""What predictions add to a metric: each sample by itself, the answers of a user together."""

from __future__ import annotations

import json

from prospect.runs.compare.samples import shares


def written(folder, *rows):
    (folder / "predictions").mkdir(parents=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "predictions" / "test.jsonl").write_text(text)
    return folder


def test_answers_of_one_user_are_one_unit(tmp_path):
    rows = [
        {"id": f"{user}/{n}", "user": user, "shares": {"exact": [n % 2, 1]}} for user in (3, 7) for n in range(user)
    ]
    assert shares(written(tmp_path / "run", *rows), "test/exact") == {("users", "3"): (1, 3), ("users", "7"): (3, 7)}
    assert shares(tmp_path / "run", "test/click/accuracy") == {}


def test_others_stand_for_themselves(tmp_path):
    rows = [{"id": name, "frames": 5, "shares": {"speak/f1": [n, 4]}} for n, name in enumerate("ab")]
    assert list(shares(written(tmp_path / "run", *rows), "test/speak/f1").values()) == [(0, 4), (1, 4)]
