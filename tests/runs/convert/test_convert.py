"""Old configurations as command lines: every published example, and what is said about keys without a meaning."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from prospect.runs.compose import compose
from prospect.runs.convert.__main__ import main, read
from prospect.runs.convert.here import absent
from prospect.runs.convert.line import Line, quoted, spelt
from prospect.runs.convert.sections import converted
from prospect.runs.convert.training import DECIDED
from prospect.runs.faults import Conf
from prospect.runs.signatures import of_callable

ROOT = Path(__file__).parents[3]
OLD = Path(__file__).parent / "old"  # the examples of NanoVLM-Lab's own guide
NANOVLM = "model.path=lusxvr/nanoVLM-230M-8k"
HUB = "data.path=lmms-lab/multimodal-open-r1-8k-verified"
OWN = r"'trainer.rewards.weights={reward_functions.py\:FUNCTION:1.0}'"
DRAWN = "data.val_share=0.2 data.test_share=0"
LINES = {
    "sft_least": f"""model=nanovlm data=chats {NANOVLM} data.path=your_dataset {DRAWN} hydra.run.dir=./sft_output
        trainer.args.num_train_epochs=1 trainer.args.per_device_train_batch_size=4 trainer.args.learning_rate=5e-5""",
    "sft_quick": f"""model=nanovlm data=chats {NANOVLM} {HUB} "data.split='train[:1%]'" {DRAWN}
        hydra.run.dir=./test_output trainer.args.num_train_epochs=1 trainer.args.per_device_train_batch_size=2
        trainer.args.learning_rate=5e-5 trainer.args.bf16=true""",
    "sft_full": f"""model=nanovlm data=chats adapt=lora {NANOVLM} {HUB} data.split=train data.val_split=test
        data.test_share=0 hydra.run.dir=./sft_output trainer.args.num_train_epochs=3
        trainer.args.per_device_train_batch_size=4 trainer.args.learning_rate=5e-5 trainer.args.warmup_steps=0.1
        trainer.args.bf16=true trainer.args.eval_strategy=steps trainer.args.eval_steps=500""",
    "sft_fresh": f"""model=nanovlm data=chats adapt=lora model.init=backbones
        model.vision=google/siglip2-base-patch16-512 model.language=HuggingFaceTB/SmolLM2-360M-Instruct
        model.image.size=2048 adapt.rank=16 adapt.alpha=16 adapt.dropout=0.1
        "adapt.targets=['.*[.](down_proj|o_proj|k_proj|q_proj|gate_proj|up_proj|v_proj)']"
        {HUB} "data.split='train[:5%]'" {DRAWN}
        trainer.learning_rates.connector=5e-3 trainer.learning_rates.vision=5e-5 trainer.learning_rates.language=5e-5
        'adapt.train=[connector]'
        hydra.run.dir=./sft_output trainer.args.num_train_epochs=3 trainer.args.per_device_train_batch_size=1
        trainer.args.gradient_accumulation_steps=4 trainer.args.learning_rate=5e-5 trainer.args.warmup_steps=0.1
        trainer.args.bf16=true trainer.args.eval_strategy=steps trainer.args.eval_steps=500""",
    "dpo_least": f"""model=nanovlm data=preferences trainer=dpo {NANOVLM} data.path=your_dataset {DRAWN}
        hydra.run.dir=./dpo_output trainer.args.num_train_epochs=1 trainer.args.per_device_train_batch_size=4
        trainer.args.learning_rate=1e-5 trainer.args.beta=0.1 'trainer.args.loss_type=[sigmoid]'""",
    "dpo": f"""model=nanovlm data=preferences trainer=dpo {NANOVLM} data.path=HuggingFaceH4/rlaif-v_formatted
        data.split=train {DRAWN} hydra.run.dir=./dpo_output trainer.args.num_train_epochs=2
        trainer.args.per_device_train_batch_size=4 trainer.args.learning_rate=1e-5 trainer.args.bf16=true
        trainer.args.beta=0.1 'trainer.args.loss_type=[sigmoid]'""",
    "grpo_least": f"""model=nanovlm data=prompts trainer=grpo {NANOVLM} data.path=your_dataset {DRAWN} {OWN}
        hydra.run.dir=./grpo_output trainer.args.num_train_epochs=1 trainer.args.per_device_train_batch_size=1
        trainer.args.learning_rate=5e-6 trainer.args.num_generations=4 trainer.args.max_completion_length=256
        trainer.args.loss_type=grpo trainer.args.beta=0.1 trainer.args.generation_batch_size=4""",
    "grpo": f"""model=nanovlm data=prompts trainer=grpo adapt=lora {NANOVLM} {HUB} "data.split='train[:5%]'" {DRAWN}
        {OWN} hydra.run.dir=./grpo_output trainer.args.num_train_epochs=1 trainer.args.per_device_train_batch_size=1
        trainer.args.gradient_accumulation_steps=4 trainer.args.learning_rate=5e-6 trainer.args.bf16=true
        trainer.args.num_generations=4 trainer.args.max_completion_length=256 trainer.args.loss_type=grpo
        trainer.args.beta=0.1""",
}


def of(old: dict, kind: str = "sft", folder: Path = Path()) -> Line:
    return converted({"training_type": kind, **old}, folder)


def test_no_example_is_left_out():
    assert {file.stem for file in OLD.glob("*.yaml")} == LINES.keys()


@pytest.mark.parametrize("name", LINES)
def test_examples(name):
    assert str(converted(read(OLD / f"{name}.yaml"), OLD)) == "python train.py " + " ".join(LINES[name].split())


@pytest.mark.parametrize("name", LINES)
def test_examples_are_taken_by_the_check_as_they_come_out_of_a_shell(name):
    """Of the model's own keys its own tests know: here the tiny one takes its place."""
    from train import train

    words = shlex.split(str(converted(read(OLD / f"{name}.yaml"), OLD)))[2:]
    lines = ["model=tiny", *(word for word in words if not word.startswith("model"))]
    assert compose(Conf(ROOT / "conf"), lines, of_callable(train)).mistakes == []


def test_the_command_goes_to_stdout_and_the_rest_to_stderr(capsys):
    assert main([str(OLD / "sft_full.yaml")]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("python train.py model=nanovlm data=chats adapt=lora")
    assert told.out.count("\n") == 1
    assert "# training.warmup_ratio: has no meaning any more" in told.err
    assert "# logging.use_wandb: not supported" in told.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("training_type: ppo\n", "training_type is 'ppo'; accepted are sft, dpo, grpo"),
        ("- sft\n", "holds no keys"),
        ("a: [\n", "is no YAML"),
        ("training_type: sft\nmodel: nanovlm\n", "model must be a section"),
    ],
)
def test_what_is_no_configuration(text, told, tmp_path, capsys):
    (tmp_path / "old.yaml").write_text(text)
    assert main([str(tmp_path / "old.yaml")]) == 2
    assert told in capsys.readouterr().err
    assert main([str(tmp_path / "never.yaml")]) == 2


def test_keys_of_training():
    line = of({"training": {"evaluation_strategy": "epoch", "seed": 3, "report_to": "wandb", "save_safetensors": True}})
    assert line.words["trainer.args.eval_strategy"] == "epoch"
    assert line.words["seed"] == "3"
    assert "training.report_to: has no meaning any more: the run itself decides it" in line.notes
    assert any("save_safetensors: has no meaning any more: transformers has no such" in note for note in line.notes)
    both = of({"training": {"warmup_ratio": 0.1, "warmup_steps": 50}})
    assert both.words["trainer.args.warmup_steps"] == "50"
    assert "warmup_steps always came first" in both.notes[0]


def test_what_the_run_decides_is_what_the_trainer_refuses():
    from prospect.training.arguments import OURS

    assert set(DECIDED) == OURS.keys() | {"use_cpu"}


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("HuggingFaceTB/SmolVLM2-2.2B-Instruct", "smolvlm2"),
        ("HuggingFaceTB/SmolVLM2-256M-Video-Instruct", "smolvlm2_256m"),
        ("Qwen/Qwen3-VL-2B-Instruct", "qwen3_vl"),
        ("./my/checkpoint", "nanovlm"),
    ],
)
def test_families(path, model):
    line = of({"model": {"model_name_or_path": path}})
    assert (line.words["model"], line.words["model.path"]) == (model, path)


def test_fresh_models():
    sizes = {"lm_hidden_dim": 96, "mp_pixel_shuffle_factor": 2, "vit_img_size": 64, "strange": 1}
    fresh = {"initialize_from_config": True, "vlm_config": sizes}
    random = of({"model": {**fresh, "load_backbone": False}})
    assert random.words["model.init"] == "random"
    assert [random.words[f"model.sizes.{key}"] for key in ("width", "scale_factor", "tile")] == ["96", "2", "64"]
    assert "model.vlm_config.strange: not known, and left out" in random.notes
    backbones = of({"model": fresh})
    assert "model.sizes.width" not in backbones.words
    assert "model.vlm_config.lm_hidden_dim: 96 has no meaning: the backbones keep their sizes" in backbones.notes
    kept = of({"model": {"model_name_or_path": "x/y", "vlm_config": sizes, "lora_config": {"r": 4}}})
    assert [note.partition(":")[0] for note in kept.notes] == ["model.vlm_config", "model.lora_config"]


def test_own_preprocessing(tmp_path):
    old = {"dataset": {"preprocessing_fn": "own.py"}}
    assert of(old, folder=tmp_path).words["data.map"] == "'own.py:FUNCTION'"
    (tmp_path / "own.py").write_text("def grey(row):\n    return row\n\ndef _helper():\n    pass\n")
    assert of(old, folder=tmp_path).words["data.map"] == f"'{tmp_path / 'own.py'}:grey'"
    (tmp_path / "own.py").write_text("def grey(row): ...\ndef other(row): ...\n")
    line = of(old, folder=tmp_path)
    assert "dataset.preprocessing_fn: own.py has grey, other: name the one to use" in line.notes


def test_own_rewards(tmp_path):
    old = {"dataset": {"reward_functions_fn": "own.py"}}
    key, line = "trainer.rewards.weights", of(old, "grpo", tmp_path)
    assert line.words[key] == r"{own.py\:FUNCTION:1.0}"
    assert "there is no file own.py here" in line.notes[-1]
    (tmp_path / "own.py").write_text("def right(prompts, completions, **more): ...\ndef short(completions): ...\n")
    line = of(old, "grpo", tmp_path)
    assert line.words[key] == rf"{{{tmp_path}/own.py\:right:1.0,{tmp_path}/own.py\:short:1.0}}"
    assert "own.py has right, short: leave out what is no reward" in line.notes[-1]
    assert "has no meaning with training_type: sft" in of(old, "sft", tmp_path).notes[-1]


def test_sections_that_are_not_known():
    line = of({"trainig": {}, "grpo": {}, "save": {"save_tokenizer": True}})
    assert line.notes == [
        "save: has no meaning any more: every checkpoint in the run folder is whole, tokenizer and all",
        "trainig: no such section; did you mean training?",
        "grpo: has no meaning with training_type: sft",
    ]


def test_what_this_checkout_has_not(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "chats.yaml").write_text("path: ???\n")
    line = Line({"model": "nanovlm", "data": "chats", "data.path": "x", "data.split": "y"})
    assert absent(line, tmp_path) == [
        f"model=nanovlm is not in this checkout yet (no nanovlm.yaml in {tmp_path / 'model'})",
        "data.split: data=chats has no such key here",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (5e-5, "5e-05"),
        ("5e-5", "5e-5"),
        ("no", "'no'"),
        ("it's", "'it\\'s'"),
        ([1, "a b"], "[1,'a b']"),
    ],
)
def test_values(value, text):
    assert spelt(value) == text
    assert shlex.split(quoted(f"key={text}")) == [f"key={text}"]
