"""Signatures are read as Python itself would give them, and without running anything."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from itertools import count

import pytest

from prospect.runs.annotations import ANYTHING, NOTHING, OBJECT, Choice, Either, Plain, Several
from prospect.runs.signatures import UnknownTarget, of_callable, signature

_number = count()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes a package whose import would fail, since it must never be imported, and gives its name."""

    def make(**modules: str) -> str:
        name = f"readonly{next(_number)}"
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('imported')\n" + modules.pop("init", ""))
        for module, text in modules.items():
            (tmp_path / name / f"{module}.py").write_text("raise RuntimeError('imported')\n" + text)
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()
        return name

    return make


def kinds(target: str) -> dict:
    return {name: parameter.kind for name, parameter in signature(target).parameters.items()}


def test_kinds_of_a_function(package):
    name = package(
        a="from pathlib import Path\nfrom typing import Any, Literal, Optional, Sequence\n"
        "Mode = Literal['fast', 'slow']\n"
        "class Model: ...\n"
        "def f(i: int, x: float | None, mode: Mode, s: Optional[str], p: Path, m: Model, anything: Any, bare,\n"
        "      l: list[int], t: tuple[int, str], d: dict[str, float], n: int = None, *, late: 'bool' = True): ..."
    )
    assert kinds(f"{name}.a.f") == {
        "i": Plain("int"),
        "x": Either((Plain("float"), NOTHING)),
        "mode": Choice(("fast", "slow")),
        "s": Either((Plain("str"), NOTHING)),
        "p": Plain("Path"),
        "m": OBJECT,
        "anything": ANYTHING,
        "bare": OBJECT,
        "l": Several("list", (Plain("int"),)),
        "t": Several("tuple", (Plain("int"), Plain("str")), fixed=True),
        "d": Several("dict", (Plain("str"), Plain("float"))),
        "n": Either((Plain("int"), NOTHING)),
        "late": Plain("bool"),
    }
    assert not signature(f"{name}.a.f").parameters["late"].required
    assert not signature(f"{name}.a.f").accepts_any


def test_enums_are_choices_and_swallow_their_own_text(package):
    name = package(
        a="from .b import Strategy\nfrom enum import Enum, auto\n"
        "class Own(Enum):\n    ONE = 1\n"
        "def f(strategy: Strategy | str = 'no', own: None | Own = None, words: str | list[Strategy] = ''): ...",
        b="class Explicit(str, Enum): ...\n"
        "class Strategy(ExplicitEnum):\n    'Doc.'\n    NO = 'no'\n    STEPS = 'steps'",
    )
    strategy = Choice(("no", "steps"), enum=True)
    assert kinds(f"{name}.a.f") == {
        "strategy": strategy,
        "own": Either((NOTHING, Choice((1,), enum=True))),
        "words": Either((Plain("str"), Several("list", (strategy,)))),
    }


def test_dataclass_with_inherited_fields_behind_lazy_reexports(package):
    name = package(
        init="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .inner import Child as Child\n"
        "else:\n    import sys\n    sys.modules[__name__] = None\n",
        inner="from dataclasses import dataclass, field, KW_ONLY, InitVar\nfrom typing import ClassVar\n"
        "from .base import *\n"
        "@dataclass\nclass Child(Base):\n"
        "    count: float = 2.0\n    _: KW_ONLY\n    shared: ClassVar[int] = 1\n    made: int = field(init=False)\n"
        "    given: InitVar[int] = 3\n    names: list[str] = field(default_factory=list)\n    plain = 4\n"
        "    last: bool = field(metadata={})\n",
        base="import dataclasses\n@dataclasses.dataclass(frozen=True)\n"
        "class Base:\n    first: str\n    count: int = 1\n",
    )
    parameters = signature(f"{name}.Child").parameters
    assert list(parameters) == ["first", "count", "given", "names", "last"]
    assert parameters["count"].kind == Plain("float")
    assert [p.name for p in parameters.values() if p.required] == ["first", "last"]


def test_classes_with_init_methods_and_kwargs(package):
    name = package(
        a="class A:\n    def __init__(self, x: int, **rest): ...\n    @classmethod\n    def load(cls, path: str): ...\n"
        "    @staticmethod\n    def make(n: int): ...\nclass B(A): ...\nclass C: ..."
    )
    assert list(signature(f"{name}.a.B").parameters) == ["x"]
    assert signature(f"{name}.a.B").accepts_any
    assert list(signature(f"{name}.a.A.load").parameters) == ["path"]
    assert list(signature(f"{name}.a.A.make").parameters) == ["n"]
    assert signature(f"{name}.a.C").parameters == {}


def test_unknown_targets_name_what_there_is(package):
    name = package(images="def load(): ...\ndef save(): ...", other="def more(): ...")
    with pytest.raises(UnknownTarget) as unknown:
        signature(f"{name}.images.laod")
    assert unknown.value.names == [f"{name}.images.load", f"{name}.images.save"]
    with pytest.raises(UnknownTarget) as unknown:
        signature(f"{name}.imagse.load")
    assert unknown.value.names == [f"{name}.images.load"]
    with pytest.raises(UnknownTarget, match="no module"):
        signature("nowhere_at_all.f")


def test_circular_reexports_end(package):
    name = package(a="from .b import f", b="from .a import f")
    with pytest.raises(UnknownTarget):
        signature(f"{name}.a.f")


OWN = [
    "prospect.runs.check.Mistake",
    "prospect.runs.check.check",
    "prospect.runs.annotations.Several",
    "prospect.runs.folder.Run",
    "prospect.runs.folder.Run.start",
    "prospect.conversation.sample.Sample",
    "prospect.conversation.segments.Segment",
    "prospect.runs.command.command",
]


@pytest.mark.parametrize("target", OWN)
def test_equals_what_python_says(target):
    module = importlib.import_module(".".join(target.split(".")[:3]))
    found = module
    for part in target.removeprefix(module.__name__ + ".").split("."):
        found = getattr(found, part)
    true = inspect.signature(found).parameters.values()
    read = signature(target).parameters
    assert list(read) == [p.name for p in true]
    assert {n for n, p in read.items() if p.required} == {p.name for p in true if p.default is p.empty}


@pytest.mark.slow
@pytest.mark.parametrize("target", ["transformers.TrainingArguments", "trl.DPOConfig", "trl.GRPOConfig"])
def test_library_classes_as_they_are(target):
    package, _, name = target.rpartition(".")
    fields = [f for f in dataclasses.fields(getattr(importlib.import_module(package), name)) if f.init]
    read = signature(target).parameters
    assert set(read) == {f.name for f in fields}
    literal = {n: p.default for n, p in read.items() if p.default is not ... and not p.required}
    spelt = {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}
    assert len(literal) > 50
    for key in literal.keys() & spelt.keys():
        assert getattr(spelt[key], "value", spelt[key]) == literal[key], key


def test_of_a_callable_leaves_out_the_run():
    def main(run: Run, model: dict[str, int], seed: int = 0, resume: str | None = None): ...  # noqa: F821

    found = of_callable(main).parameters
    assert list(found) == ["model", "seed", "resume"]
    assert found["model"].required
    assert found["seed"].kind == Plain("int")
    assert found["resume"].kind == Either((Plain("str"), NOTHING))
