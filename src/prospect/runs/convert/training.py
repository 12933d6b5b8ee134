"""The section `training` of a NanoVLM-Lab configuration: mostly arguments of transformers, some of them long gone."""

from __future__ import annotations

from typing import Any

from prospect.runs.convert.line import Line
from prospect.runs.nearest import nearest
from prospect.runs.signatures import signature

LIBRARY = "transformers.TrainingArguments"
RATES = {"lr_mp": "connector", "lr_vision_backbone": "vision", "lr_language_backbone": "language"}
MOVED = {
    "output_dir": "hydra.run.dir",
    "seed": "seed",
    "gradient_checkpointing": "model.gradient_checkpointing",
    "group_by_length": "trainer.group_by_length",
    "max_length": "trainer.max_length",
    "evaluation_strategy": "trainer.args.eval_strategy",
}
DECIDED = (  # by the run itself
    "report_to",
    "disable_tqdm",
    "remove_unused_columns",
    "label_names",
    "logging_nan_inf_filter",
    "log_level",
    "dataloader_drop_last",
    "use_cpu",
)


def training(section: dict[str, Any], line: Line) -> None:
    known = signature(LIBRARY).parameters
    _rates(section, line)
    for key, value in section.items():
        if key in RATES or value is None:
            continue
        if key == "warmup_ratio":
            _warmup(section, line)
        elif key in MOVED:
            line.put(MOVED[key], value)
        elif key in DECIDED:
            line.say(f"training.{key}", "has no meaning any more: the run itself decides it")
        elif key == "resume_from_checkpoint":
            line.say(f"training.{key}", "left out: a run is gone on with by python train.py resume=RUN")
        elif key in known:
            line.put(f"trainer.args.{key}", value)
        else:
            guess = nearest(key, list(known))
            hint = f"; did you mean {guess}?" if guess else ""
            line.say(f"training.{key}", f"has no meaning any more: transformers has no such argument{hint}")


def _warmup(section: dict[str, Any], line: Line) -> None:
    """A number of steps below 1 is a share of all steps, which is what the ratio was. Steps win where both are said."""
    told = "has no meaning any more: transformers dropped it"
    if section.get("warmup_steps"):
        line.say("training.warmup_ratio", f"{told}, and warmup_steps always came first")
        return
    line.put("trainer.args.warmup_steps", section["warmup_ratio"])
    line.say("training.warmup_ratio", f"{told}; trainer.args.warmup_steps below 1 is the same share of all steps")


def _rates(section: dict[str, Any], line: Line) -> None:
    rates = {part: section[key] for key, part in RATES.items() if section.get(key) is not None}
    if not rates:
        return
    for part, rate in rates.items():
        line.put(f"trainer.learning_rates.{part}", rate)
    if "connector" in rates and line.words.get("adapt") == "lora":
        line.put("adapt.train", ["connector"])
        line.say("training.lr_mp", "the projector is trained as a whole beside the adapter")
