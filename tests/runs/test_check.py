"""Values against kinds, nodes against signatures, and what is suggested."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.runs.annotations import NOTHING, UNRESOLVED, Choice, Misfit, Plain, Several, either, fit
from prospect.runs.check import check
from prospect.runs.nearest import nearest, nearest_path
from prospect.runs.signatures import of_callable

INT, FLOAT, TEXT, BOOL = map(Plain, ("int", "float", "str", "bool"))


def main(run: Run, model: dict, seed: int = 0, rate: float = 0.1, resume: str | None = None): ...  # noqa: F821


def told(config: dict, groups=()) -> list[str]:
    return [str(mistake) for mistake in check(config, of_callable(main), groups).mistakes]


def arguments(**changed) -> dict:
    return {"model": {"args": {"_target_": "transformers.TrainingArguments", "_partial_": True, **changed}}}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (3, INT),
        (3, FLOAT),
        (None, either([INT, NOTHING])),
        ("a", Choice(("a", "b"))),
        ([1, 2], Several("list", (INT,))),
        ([1, "x"], Several("tuple", (INT, TEXT), fixed=True)),
        ({"a": 1.5}, Several("dict", (TEXT, FLOAT))),
        ({"_target_": "prospect.x.y"}, INT),
        (UNRESOLVED, INT),
        ("???", INT),
        ("1e-5", either([FLOAT, TEXT])),
    ],
)
def test_fitting_values_stay_as_they_are(value, kind):
    fitted = fit(value, kind)
    assert fitted == value
    assert type(fitted) is type(value)


@pytest.mark.parametrize(
    ("value", "kind", "nearest_value"),
    [
        (True, INT, ""),
        (1, BOOL, "true"),
        ("Flase", BOOL, "false"),
        ("off", BOOL, "false"),
        ("abc", INT, ""),
        ("300", INT, "300"),
        ("²", INT, ""),
        ("+-3", INT, ""),
        (3.0, INT, "3"),
        (3.5, INT, ""),
        (True, FLOAT, ""),
        ("fast", FLOAT, ""),
        (256, TEXT, "'256'"),
        (None, INT, ""),
        ("stepz", Choice(("no", "steps", "epoch")), "steps"),
        (False, Choice(("no", "steps")), "'no'"),
        (1, Choice((True, "a")), ""),
        ([1, "x"], Several("list", (INT,)), ""),
        ([1], Several("tuple", (INT, INT), fixed=True), ""),
        ("x", Several("list", (TEXT,)), ""),
        ({"a": "x"}, Several("dict", (TEXT, INT)), ""),
        ("stepz", either([Choice(("steps",), enum=True), TEXT, NOTHING]), "steps"),
    ],
)
def test_misfits_name_the_nearest_value(value, kind, nearest_value):
    with pytest.raises(Misfit) as misfit:
        fit(value, kind)
    assert misfit.value.nearest == nearest_value


@given(st.floats(allow_nan=False))
def test_a_number_written_as_text_is_that_number(number):
    assert fit(repr(number), FLOAT) == number


@given(st.one_of(st.integers(), st.floats(), st.booleans(), st.text(), st.none()))
def test_fitting_again_changes_nothing(value):
    for kind in (INT, FLOAT, TEXT, BOOL, either([FLOAT, NOTHING])):
        try:
            once = fit(value, kind)
        except Misfit:
            continue
        assert fit(once, kind) is once


def test_texts_become_numbers_inside_of_nodes():
    checked = check(arguments(learning_rate="1e-5", warmup_steps="0.1"), of_callable(main))
    assert checked.mistakes == []
    assert checked.config["model"]["args"]["learning_rate"] == 1e-5
    assert checked.config["model"]["args"]["_partial_"] is True


def test_all_mistakes_at_once():
    config = arguments(learning_rte=1, max_steps="abc", eval_strategy="stepz", seed=True) | {"sed": 1, "rate": None}
    assert told(config) == [
        "model.args.max_steps: 'abc' is no int",
        "model.args.eval_strategy: 'stepz' is not one of 'no', 'steps', 'epoch'; did you mean steps?",
        "model.args.seed: true is no int",
        "rate: null is no number",
        "model.args.learning_rte: unknown; did you mean model.args.learning_rate?",
        "sed: unknown; did you mean seed?",
    ]


def test_missing_values_once_each():
    assert told({}) == ["model: missing; set it with model=VALUE"]
    assert told({"modle": {}}) == ["modle: unknown; did you mean model?"]
    assert told({"model": {"deep": [{"folder": "???"}]}}) == [
        "model.deep[0].folder: missing; set it with model.deep[0].folder=VALUE"
    ]
    node = {"_target_": "prospect.conversation.segments.Segment"}
    assert told({"model": node}) == ["model.text: missing; set it with model.text=VALUE"]
    assert told({"model": {**node, "_partial_": True}}) == []
    assert told({"model": {**node, "_args_": ["words"]}}) == []


@pytest.mark.parametrize("target", ["os.system", "prospectus.run", "transformers.Trainer", "builtins.open", 3, None])
def test_forbidden_targets(target):
    (mistake,) = told({"model": {"inside": [{"_target_": target}]}})
    assert "is not allowed" in mistake
    assert mistake.startswith("model.inside[0]._target_")


def test_unknown_targets_and_directives():
    assert told({"model": {"_target_": "prospect.conversation.segments.Segmnt"}})[0].endswith(
        "did you mean prospect.conversation.segments.Segment?"
    )
    node = {"_target_": "prospect.conversation.segments.Segment", "text": "x"}
    assert told({"model": {**node, "_partail_": True}}) == ["model._partail_: unknown; did you mean model._partial_?"]
    assert told({"model": {**node, "_partial_": "yes"}})[0].startswith("model._partial_: 'yes' is neither true nor")


def test_groups_are_names_of_the_top_level():
    assert told({"model": {}, "experimnt": "x"}, ["experiment"]) == ["experimnt: unknown; did you mean experiment?"]


def test_nearest():
    names = ["learning_rate", "max_steps", "local_rank", "per_device_train_batch_size"]
    assert nearest("Learning-Rate", names) == "learning_rate"
    assert nearest("lr", names) == "learning_rate"
    assert nearest("batch_size", names) == "per_device_train_batch_size"
    assert nearest("zzz", names) == ""
    everywhere = ["seed", "trainer.args", "trainer.args.max_steps", "model.size", "data.size"]
    assert nearest_path("max_steps", ["seed"], everywhere) == "trainer.args.max_steps"
    assert nearest_path("trainer.max_steps", ["args"], everywhere) == "trainer.args.max_steps"
    assert nearest_path("data.args.size", ["rank"], everywhere) == "data.size"
    assert nearest_path("model.args.size", ["side"], [*everywhere, "model.args.side"]) == "model.size"
    assert nearest_path("sede", ["seed"], everywhere) == "seed"
