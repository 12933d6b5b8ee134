"""Which keys differ, and what they are called."""

from __future__ import annotations

import pytest

from prospect.errors import UserError
from prospect.runs.compare.settings import (
    ABSENT,
    differing,
    flat,
    label,
    needed,
    resolved,
    short_names,
    spelt,
    telling,
)


def keys(*configs):
    return differing(telling([flat(config) for config in configs]))


def test_nested_keys_and_lists():
    config = {"a": {"b": {"c": 1}, "d": []}, "e": [1, 2], "f": [{"g": 1}, {"g": [3]}], "h": {}}
    assert flat(config) == {"a.b.c": 1, "a.d": [], "e": [1, 2], "f[0].g": 1, "f[1].g": [3], "h": {}}


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b"]),
        ({"a": [1, 2]}, {"a": [1, 3]}, ["a"]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, ["a[0].b"]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1}, {"b": 2}]}, ["a[1].b"]),
        ({"a": None}, {}, ["a"]),
        ({"a": None}, {"a": "null"}, ["a"]),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": True}, ["a"]),
        ({"a": 1}, {"a": "1"}, ["a"]),
        ({"a": [1, 2.0]}, {"a": [1.0, 2]}, []),
        ({"a": float("nan")}, {"a": float("nan")}, []),
        ({"a": {}}, {"a": {"b": 1}}, ["a.b"]),
        ({"a": {}}, {}, ["a"]),
        ({"seed": 0, "m": {"seed": 0}, "resume": None}, {"seed": 1, "m": {"seed": 1}, "resume": "x"}, []),
        ({"seed": 0, "m": {"seed": 5}}, {"seed": 1, "m": {"seed": 1}}, ["m.seed"]),
        ({"run": "outputs/1"}, {"run": "outputs/2"}, []),
        ({"run": "outputs/1"}, {"run": None}, ["run"]),
    ],
)
def test_what_differs(one, other, found):
    assert keys(one, other) == found


def test_a_name_takes_as_few_keys_as_tell_the_groups_apart():
    tiny = {"model": {"_target_": "m.tiny", "path": None, "dtype": "float32"}, "loss": {"weight": 1}}
    large = {"model": {"_target_": "m.smolvlm", "path": "hub", "dtype": "bfloat16"}, "loss": {"weight": 1}}
    heavy = {**tiny, "loss": {"weight": 2}}
    configs = [flat(config) for config in (tiny, large, heavy)]
    found = differing(configs)
    shown = needed(configs, found)
    assert found == ["model._target_", "model.path", "model.dtype", "loss.weight"]
    assert shown == ["model._target_", "loss.weight"]
    short = short_names(found)
    assert [label(config, shown, short) for config in configs] == [
        "model=tiny, weight=1",
        "model=smolvlm, weight=1",
        "model=tiny, weight=2",
    ]


def test_names_that_end_alike_keep_what_tells_them_apart():
    assert short_names(["a.rate", "b.rate", "b.rate.x"]) == {"a.rate": "a.rate", "b.rate": "b.rate", "b.rate.x": "x"}


def test_a_key_is_found_by_its_end():
    known = ["loss.weight", "context._target_", "a.seed", "b.seed"]
    assert resolved("weight", known, "by") == "loss.weight"
    assert resolved("context", known, "by") == "context._target_"
    with pytest.raises(UserError, match=r"several keys end so: a.seed, b.seed"):
        resolved("seed", known, "by")
    with pytest.raises(UserError, match="did you mean weight"):
        resolved("wieght", known, "by")


def test_values_as_on_a_command_line():
    assert [spelt(v) for v in (None, True, [1, [2.5]], "x", ABSENT)] == ["null", "true", "[1,[2.5]]", "x", "(absent)"]
