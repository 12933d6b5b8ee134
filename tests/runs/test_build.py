from __future__ import annotations

import pytest

from prospect.errors import UserError
from prospect.runs.build import build


def test_lists_stay_lists():
    made = build({"_target_": "builtins.dict", "names": ["a"], "inner": {"deep": [1]}})
    assert type(made["names"]) is list
    assert type(made["inner"]) is dict


def test_the_error_of_the_object_itself_comes_through(tmp_path):
    with pytest.raises(UserError, match="there is no such folder"):
        build({"_target_": "prospect.data.element.dataset.element", "folder": str(tmp_path / "none")})


def test_a_target_that_is_not_there_is_named():
    with pytest.raises(ImportError, match=r"prospect\.nowhere"):
        build({"_target_": "prospect.nowhere.nothing"})
