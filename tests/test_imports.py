"""Imports point downwards only, the upper rooms know nothing of torch, and nothing is unpickled."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "prospect"
ORDER = ("runs", "evaluation", "streaming", "training", "models", "data", "conversation")
STRANGERS = {frozenset({"models", "data"})}  # never import each other
NO_TORCH = ("runs", "data", "conversation")  # data reads disks and conversation holds words
MODULES = sorted(SOURCE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def room(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if parts[0] == "prospect" and len(parts) > 1 and parts[1] in ORDER else None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_downwards(path):
    inside = path.relative_to(SOURCE).parts[0]
    others = {other for name in imports(path) if (other := room(name)) and other != inside}
    if inside not in ORDER:
        assert not others, f"{path.name} is below all rooms and imports {others}"
        return
    for other in others:
        assert ORDER.index(other) > ORDER.index(inside), f"{inside} imports {other}, which lies above it"
        assert frozenset({inside, other}) not in STRANGERS


def test_no_two_files_need_each_other():
    """Imports within functions count too; CycleError names the files of a circle."""
    names = {_dotted(path): path for path in MODULES}
    tuple(TopologicalSorter({name: imports(path) & names.keys() for name, path in names.items()}).static_order())


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_words_and_runs_know_nothing_of_torch(path):
    inside = path.relative_to(SOURCE)
    heavy = {name.split(".")[0] for name in imports(path)} & {"torch", "transformers", "accelerate", "peft", "trl"}
    if inside.parts[0] in NO_TORCH:
        assert not heavy
    if inside.parts[0] == "runs":
        assert not {other for name in imports(path) if (other := room(name)) and other != "runs"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_is_unpickled(path):
    found = {name for name in imports(path) if name.split(".")[0] in {"pickle", "dill", "joblib", "cloudpickle"}}
    # the one converter subclasses the unpickler to refuse every name but harmless ones: tests/data/test_users_pickle.py
    converter = path.relative_to(SOURCE).as_posix() == "data/users/pickles.py"
    assert found <= ({"pickle", "pickle.Unpickler", "pickle.UnpicklingError"} if converter else set())
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            assert "weights_only=True" in ast.unparse(node), f"{path}: torch.load without weights_only"
