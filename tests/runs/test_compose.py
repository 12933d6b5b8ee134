"""Command lines and files to one configuration, or to all that is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from prospect.runs.compose import compose
from prospect.runs.faults import Conf
from prospect.runs.signatures import of_callable


def main(
    run: Run,  # noqa: F821
    model: dict,
    loss: dict,
    trainer: dict,
    data: dict,
    seed: int = 0,
    resume: str | None = None,
): ...


@pytest.fixture
def composed(repository):
    def go(*lines: str, multirun: bool = False, **conf):
        return compose(Conf(repository / "conf", **conf), list(lines), of_callable(main), multirun)

    return go


@pytest.fixture
def told(composed):
    return lambda *lines, **more: [str(mistake) for mistake in composed(*lines, **more).mistakes]


def test_a_command_line(composed):
    found = composed("model=large", "trainer.args.weight_decay=0.1", "seed=3", "+model.letterbox=true", "~model.size")
    assert found.mistakes == []
    assert found.config["trainer"]["args"]["weight_decay"] == 0.1
    assert found.config["model"] == {
        "_target_": "prospect.models.images.ImageSettings",
        "split": True,
        "letterbox": True,
    }
    assert found.config["seed"] == 3
    assert found.overrides == [
        "model=large",
        "++trainer.args.weight_decay=0.1",
        "seed=3",
        "++model.letterbox=true",
        "~model.size",
    ]
    assert found.folder is not None
    assert found.folder.name.endswith("-large")


def test_hydra_composes_the_same_from_the_rewritten_line(composed, repository):
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    found = composed("data=dialogue", "trainer.args.weight_decay=0.1", "+model.size=4", "speaking_gen_weight=0.5")
    with initialize_config_dir(str(repository / "conf"), version_base="1.3"):
        theirs = OmegaConf.to_container(hydra_compose("config", found.overrides), resolve=True)
    assert theirs == found.config


def test_data_picks_its_loss_and_the_user_wins(composed):
    assert composed("data=dialogue").config["loss"]["name"] == "dst"
    assert composed("data=dialogue", "loss=lm").config["loss"]["name"] == "lm"
    quick = composed("data=dialogue", "experiment=quick")
    assert quick.config["loss"]["name"] == "lm"
    assert quick.config["trainer"]["args"]["max_steps"] == 3
    assert composed("experiment=quick", "trainer.args.max_steps=5").config["trainer"]["args"]["max_steps"] == 5


@pytest.mark.parametrize("line", ["experiment=quick", "+experiment=quick", "experiment=quick.yaml"])
def test_spellings_of_an_experiment(composed, line):
    found = composed(line)
    assert found.mistakes == []
    assert found.config["trainer"]["args"]["max_steps"] == 3


def test_old_names(composed):
    found = composed("data=dialogue", "speaking_gen_weight=0.5", "+neg_frame_sampling_rate=2")
    assert found.config["loss"]["speaking_gen_weight"] == 0.5
    assert found.config["data"]["neg_frame_sampling_rate"] == 2


def test_all_mistakes_of_one_command_line(told):
    assert told(
        "a=[1", "word", "model=larg", "modle=tiny", "model.splti=1", "trainer.args.max_steps=abc", "data=needy"
    ) == [
        "a=[1: not understood: no viable alternative at input '[1'  (command line)",
        "word: not understood: write KEY=VALUE or GROUP=OPTION  (command line)",
        "model=larg: no option 'larg', but large, tiny; did you mean model=large?  (command line)",
        "trainer.args.max_steps: 'abc' is no int  (command line)",
        "data.folder: missing; set it with data.folder=VALUE  (conf/data/needy.yaml)",
        "model.splti: unknown; did you mean model.split?  (command line)",
        "modle: unknown; did you mean model?  (command line)",
    ]


def test_what_follows_a_wrong_option_is_checked_against_the_nearest(told):
    assert len(told("loss=dts", "loss.speaking_gen_weight=0.5")) == 1
    assert len(told("data=nedy")) == 1  # not also the folder that this guess would need


def test_no_option_at_all(told, composed):
    assert told("experiment=null") == ["experiment=null: null is no option; did you mean ~experiment?  (command line)"]
    assert composed("~experiment").mistakes == []
    assert "data" not in composed("~data").config


@pytest.mark.parametrize("sign", ["", "+", "++"])
def test_no_sign_lets_a_typo_through(told, sign):
    expected = "trainer.args.learning_rte: unknown; did you mean trainer.args.learning_rate?  (command line)"
    assert told(f"{sign}trainer.args.learning_rte=1") == [expected]


def test_typos_in_files_name_the_file(told, repository):
    (repository / "experiments" / "bad.yaml").write_text(
        "# @package _global_\nsede: 1\ntrainer: {args: {max_stps: 3}}\nmodel: {split: maybe}\n"
    )
    assert told("experiment=bad") == [
        "model.split: 'maybe' is not true or false or null  (conf/experiment/bad.yaml)",
        "trainer.args.max_stps: unknown; did you mean trainer.args.max_steps?  (conf/experiment/bad.yaml)",
        "sede: unknown; did you mean seed?  (conf/experiment/bad.yaml)",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\nb: 2", "conf/data/bad.yaml, line 2: no YAML: expected ',' or ']', but got ':'"),
        ("a: 1\na: 2", "conf/data/bad.yaml, line 2: no YAML: found duplicate key a"),
        ("defaults: [{override /loss@_global_.loss: dts}]", "did you mean dst?"),
        ("a: ${b", "conf/data/bad.yaml: no viable alternative at input '${b'"),
    ],
)
def test_broken_files(told, repository, text, said):
    (repository / "conf" / "data" / "bad.yaml").write_text(text)
    (mistake,) = told("data=bad")
    assert said in mistake


def test_interpolations_that_fail_are_told_once(told, monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    assert told("seed=${oc.env:NOWHERE}", "+data.copy=${seed}", "+data.other=${sede}") == [
        "seed: Environment variable 'NOWHERE' not found  (command line)",
        "data.other: Interpolation key 'sede' not found  (command line)",
    ]
    assert told("seed=x", "+trainer.args.seed=${seed}") == ["seed: 'x' is no int  (command line)"]
    circle = told("+data.a=${data.b}", "+data.b=${data.a}")
    assert circle == ["data.a: Recursive interpolation detected  (command line)"]


def test_an_environment_value_serves_as_a_number(composed, monkeypatch):
    monkeypatch.setenv("RATE", "1e-5")
    assert composed("trainer.args.learning_rate=${oc.env:RATE}").config["trainer"]["args"]["learning_rate"] == 1e-5


def test_hydras_own_keys(told, composed):
    launcher, folder = told("hydra.rnu.dir=x", "hydra/launcher=basci")
    assert launcher.startswith("hydra/launcher=basci: no option 'basci', but basic")  # and those of plugins
    assert launcher.endswith("; did you mean hydra/launcher=basic?  (command line)")
    assert folder == "hydra.rnu.dir: unknown; did you mean hydra.run.dir?  (command line)"
    assert composed("hydra.run.dir=here").folder == Path.cwd() / "here"
    assert "not allowed" in told("+hydra.callbacks.x._target_=os.system")[0]


def test_sweeps_check_every_value(told):
    lines = ("model=tiny,larg", "seed=1,x,3", "trainer.args.max_steps=choice(1,y)", "trainer.args.wram=1,2")
    assert told(*lines, multirun=True) == [
        "model=larg: no option 'larg', but large, tiny; did you mean model=large?  (command line)",
        "trainer.args.wram: unknown  (command line)",
        "seed: 'x' is no int  (command line)",
        "trainer.args.max_steps: 'y' is no int  (command line)",
    ]
    assert told("seed=range(0,3)", "model=glob(*)", multirun=True) == []
    assert "is no int" in told("seed=range(0,1,0.5)", multirun=True)[0]


def test_a_glob_finds_the_bad_option(told, repository):
    (repository / "conf" / "model" / "odd.yaml").write_text("_target_: prospect.models.images.ImageSettings\nsplti: 1")
    (mistake,) = told("model=glob(*)", multirun=True)
    assert mistake.startswith("model.splti: unknown; did you mean model.split?")


def test_several_values_without_multirun(told):
    (mistake,) = told("seed=1,2")
    assert "add -m" in mistake


def test_sweeps_in_files(told, repository):
    (repository / "experiments" / "sweep.yaml").write_text(
        "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {seed: '1,2,z'}}}\n"
    )
    assert told("experiment=sweep") == ["seed: 'z' is no int  (hydra.sweeper.params)"]


def test_one_more_folder(composed, tmp_path):
    (tmp_path / "more" / "model").mkdir(parents=True)
    (tmp_path / "more" / "model" / "mine.yaml").write_text("_target_: prospect.models.images.ImageSettings")
    assert composed("model=mine", extra=tmp_path / "more").mistakes == []


def test_an_unknown_primary_file(told):
    (mistake,) = told(name="confg")
    assert "did you mean config?" in mistake


def test_hydra_takes_dictionaries_into_empty_ones():
    from train import train

    root = Path(__file__).parents[2] / "conf"
    lines = ["adapt=lora", "adapt.ranks={language: 4}", "trainer.learning_rates={heads: 1e-3}"]
    found = compose(Conf(root), lines, of_callable(train))
    assert found.mistakes == []
    assert found.config["adapt"]["ranks"] == {"language": 4}
    assert found.overrides == ["adapt=lora", "++adapt.ranks={language: 4}", "++trainer.learning_rates={heads: 1e-3}"]
