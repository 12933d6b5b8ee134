"""What every key of a NanoVLM-Lab configuration is here: an override, or a sentence about why there is none."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prospect.errors import UserError
from prospect.runs.convert.line import Line
from prospect.runs.convert.training import training
from prospect.runs.nearest import nearest

Section = dict[str, Any]

DATA = {"sft": "chats", "dpo": "preferences", "grpo": "prompts"}
TRL = {"dpo": {"dpo_loss_type": "loss_type"}, "grpo": {}}  # their sections hold TRL's own arguments, but for these
FAMILIES = {
    "smolvlm2-256m": "smolvlm2_256m",
    "smolvlm2-500m": "smolvlm2_500m",
    "smolvlm2": "smolvlm2",
    "qwen3-vl": "qwen3_vl",
}
BACKBONES = {
    "vit_model_type": "vision",
    "lm_model_type": "language",
    "lm_tokenizer": "tokenizer",
    "max_img_size": "image.size",
}
SIZES = {
    "vit_img_size": "tile",
    "vit_patch_size": "patch",
    "vit_hidden_dim": "vision_width",
    "vit_inter_dim": "vision_inner",
    "vit_n_blocks": "vision_layers",
    "vit_n_heads": "vision_heads",
    "lm_hidden_dim": "width",
    "lm_inter_dim": "inner",
    "lm_n_blocks": "layers",
    "lm_n_heads": "heads",
    "lm_n_kv_heads": "kv_heads",
    "mp_pixel_shuffle_factor": "scale_factor",
}
HELD_OUT = 0.2  # what the old program split off where no evaluation data were named


def converted(old: Section, folder: Path) -> Line:
    """`folder` is where the file lies: paths of Python files in it start there."""
    kind = old.get("training_type")
    if kind not in DATA:
        raise UserError(f"training_type is {kind!r}; accepted are {', '.join(DATA)}")
    line = Line()
    sections: dict[str, Callable[[Section, Line], None]] = {
        "model": _model,
        "dataset": lambda section, line: _dataset(section, line, kind, folder),
        "training": training,
        "save": _save,
        "logging": _logging,
    }
    if kind in TRL:
        sections[kind] = lambda section, line: _trl(section, line, kind)
    for name in (*sections, *(key for key in old if key not in sections and key != "training_type")):
        if name not in old:
            continue
        if name not in sections:
            line.say(name, _stranger(name, kind, list(sections)))
        elif old[name] is not None and not isinstance(old[name], dict):
            raise UserError(f"{name} must be a section with keys of its own, not {old[name]!r:.60}")
        else:
            sections[name](dict(old[name] or {}), line)
    return _in_order(line, kind)


def _stranger(name: str, kind: str, known: list[str]) -> str:
    if name in TRL:
        return f"has no meaning with training_type: {kind}"
    guess = nearest(name, known)
    return "no such section" + (f"; did you mean {guess}?" if guess else "")


def _in_order(line: Line, kind: str) -> Line:
    """Groups first, as they are what is composed."""
    groups = {"model": line.words.pop("model", "nanovlm"), "data": DATA[kind]}
    groups |= {} if kind == "sft" else {"trainer": kind}
    groups |= {"adapt": line.words.pop("adapt")} if "adapt" in line.words else {}
    return Line({**groups, **line.words}, line.notes)


def _model(section: Section, line: Line) -> None:
    path = section.pop("model_name_or_path", None)
    fresh = section.pop("initialize_from_config", False) or path == "initialize"
    backbones = section.pop("load_backbone", True)
    if fresh:
        line.put("model", "nanovlm")
        line.put("model.init", "backbones" if backbones else "random")
    elif path:
        line.put("model", next((ours for name, ours in FAMILIES.items() if name in path.casefold()), "nanovlm"))
        line.put("model.path", path)
    _architecture(dict(section.pop("vlm_config", None) or {}), line, fresh, backbones)
    if section.pop("use_lora", False):
        line.put("adapt", "lora")
        _lora(dict(section.pop("lora_config", None) or {}), line)
    elif section.pop("lora_config", None):
        line.say("model.lora_config", "has no meaning without use_lora")
    _rest(section, line, "model")


def _architecture(section: Section, line: Line, fresh: bool, backbones: bool) -> None:
    if section and not fresh:
        line.say("model.vlm_config", "has no meaning beside model_name_or_path: a folder keeps its own architecture")
        return
    for key, ours in BACKBONES.items():
        if key in section:
            line.put(f"model.{ours}", section.pop(key))
    if line.words.get("model.tokenizer") == line.words.get("model.language"):
        line.words.pop("model.tokenizer", None)  # it is the language model's anyway
    for key, ours in SIZES.items():
        if key in section and backbones and ours != "scale_factor":
            line.say(f"model.vlm_config.{key}", f"{section.pop(key)} has no meaning: the backbones keep their sizes")
        elif key in section:
            line.put(f"model.sizes.{ours}", section.pop(key))
    if "mp_image_token_length" in section:
        told = f"{section.pop('mp_image_token_length')} has no meaning: it follows from tile, patch and scale_factor"
        line.say("model.vlm_config.mp_image_token_length", told)
    _rest(section, line, "model.vlm_config")


def _lora(section: Section, line: Line) -> None:
    for key, ours in (("r", "rank"), ("lora_alpha", "alpha"), ("lora_dropout", "dropout")):
        if key in section:
            line.put(f"adapt.{ours}", section.pop(key))
    if targets := section.pop("target_modules", None):
        names = [targets] if isinstance(targets, str) else targets
        line.put("adapt.targets", [f".*[.]({'|'.join(names)})"])
        line.say("model.lora_config.target_modules", "bare names adapt every layer called so, in the vision tower too")
    _rest(section, line, "model.lora_config")


def _dataset(section: Section, line: Line, kind: str, folder: Path) -> None:
    for key, ours in (("train_data_path", "path"), ("train_split", "split")):
        if section.get(key) is not None:
            line.put(f"data.{ours}", section[key])
    evaluated, split = section.get("eval_data_path"), section.get("eval_split")
    if evaluated is None:
        line.put("data.val_share", HELD_OUT)
        line.put("data.test_share", 0)
        line.say("dataset.eval_data_path", f"none: {HELD_OUT:.0%} is held out, by pictures instead of by rows")
    else:
        if evaluated != section.get("train_data_path"):
            line.put("data.val_path", evaluated)
        line.put("data.val_split", split or "train")
        line.put("data.test_share", 0)
    if script := section.get("preprocessing_fn"):
        _mapped(script, line, folder)
    if script := section.get("reward_functions_fn"):
        _rewarded(script, line, folder, kind)
    if "dataset_format" in section:
        line.say("dataset.dataset_format", "has no meaning any more: the shape of the rows is recognised")
    known = ("train_data_path", "train_split", "eval_data_path", "eval_split", "preprocessing_fn")
    _rest(
        {k: v for k, v in section.items() if k not in (*known, "reward_functions_fn", "dataset_format")},
        line,
        "dataset",
    )


def _mapped(script: str, line: Line, folder: Path) -> None:
    """The old key named a file; which of its functions is meant must be said where there are several."""
    path, names = _functions(script, folder)
    line.put("data.map", f"{path}:{names[0] if len(names) == 1 else 'FUNCTION'}")
    if path == script:
        line.say("dataset.preprocessing_fn", f"there is no file {script} here: put its path, and its function's name")
    elif len(names) != 1:
        line.say("dataset.preprocessing_fn", f"{script} has {', '.join(names) or 'no function'}: name the one to use")


def _rewarded(script: str, line: Line, folder: Path, kind: str) -> None:
    """Every function of the old file is a reward, of weight 1 as it was."""
    if kind != "grpo":
        line.say("dataset.reward_functions_fn", f"has no meaning with training_type: {kind}")
        return
    path, names = _functions(script, folder)
    line.put("trainer.rewards.weights", {f"{path}:{name}": 1.0 for name in names or ["FUNCTION"]})
    if path == script:
        line.say("dataset.reward_functions_fn", f"there is no file {script} here: put its path, and its functions")
    elif len(names) != 1:
        told = f"{script} has {', '.join(names) or 'no function'}: leave out what is no reward"
        line.say("dataset.reward_functions_fn", told)


def _functions(script: str, folder: Path) -> tuple[str, list[str]]:
    """Where a Python file lies, and what it defines for others; its bare name and nothing where it is not found."""
    path = next((place for place in (folder / script, Path(script)) if place.is_file()), None)
    if path is None:
        return script, []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = (node.name for node in tree.body if isinstance(node, ast.FunctionDef))
    return str(path), [name for name in nodes if not name.startswith("_")]


def _trl(section: Section, line: Line, kind: str) -> None:
    for key, value in section.items():
        name = TRL[kind].get(key, key)
        is_one_of_several = kind == "dpo" and name == "loss_type" and isinstance(value, str)
        line.put(f"trainer.args.{name}", [value] if is_one_of_several else value)
    if kind == "grpo":
        _groups(line)


def _groups(line: Line) -> None:
    """TRL draws a whole number of groups at a time; a batch that is smaller is learnt from in several steps."""
    batch, steps, group = (
        int(line.words.get(f"trainer.args.{name}", usual))
        for name, usual in (
            ("per_device_train_batch_size", 8),
            ("gradient_accumulation_steps", 1),
            ("num_generations", 8),
        )
    )
    if batch * steps % group:
        line.put("trainer.args.generation_batch_size", math.lcm(batch * steps, group))
        told = (
            f"{batch * steps} completions at a time hold no whole group of {group}: drawn together, learnt one by one"
        )
        line.say("grpo.num_generations", told)


def _save(section: Section, line: Line) -> None:
    if section:
        line.say("save", "has no meaning any more: every checkpoint in the run folder is whole, tokenizer and all")


def _logging(section: Section, line: Line) -> None:
    if section.pop("use_wandb", False):
        line.say("logging.use_wandb", "not supported: a run writes metrics.jsonl, tensorboard/ and report.html")
    if section:
        line.say(f"logging ({', '.join(section)})", "has no meaning any more: what a run writes is always the same")


def _rest(section: Section, line: Line, name: str) -> None:
    for key in section:
        line.say(f"{name}.{key}", "not known, and left out")
