"""What two processes do for test_sharding.py: python -m torch.distributed.run … sharded_run.py WHAT FOLDER."""

from __future__ import annotations

import faulthandler
import functools
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import state
from accelerate.utils import DistributedType
from PIL import Image
from torch.distributed.fsdp import FSDPModule
from transformers import TrainingArguments

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.data.assembly.demo import assembly101_dst_demo
from prospect.data.dataset import Dataset
from prospect.evaluation.answers import answers
from prospect.models.adapt import full, lora
from prospect.models.stream import for_streams
from prospect.models.stream_settings import StreamSettings
from prospect.models.tiny import tiny
from prospect.models.vlm import VLM
from prospect.training import sharding
from prospect.training.audit import encoded_split
from prospect.training.collate import collator
from prospect.training.fit import supervised
from prospect.training.losses import Objective, dst, lm
from prospect.training.processes import wait_for_all
from prospect.training.teacher_forced import teacher_forced

HANG = 60  # seconds after which ranks that wait for each other end with an error
LAYERS = ["LlamaDecoderLayer", "SmolVLMEncoderLayer"]
FSDP = {"fsdp": "true", "fsdp_config": {"version": 2, "transformer_layer_cls_to_wrap": LAYERS}}
# Adam divides by the size of a gradient: with its own tiny eps it would turn rounding into steps.
OPTIONS = {"max_steps": 4, "save_steps": 2, "eval_steps": 2, "logging_steps": 1, "eval_strategy": "steps"}
OPTIONS |= {"optim": "adamw_torch", "adam_epsilon": 1e-2, "learning_rate": 0.02, "per_device_eval_batch_size": 2}

SHORT = {"max_steps": 2}
GENTLE = {**SHORT, "learning_rate": 1e-3}  # larger steps would leave a model that says one thing to all questions
UNEVEN = (1, 2, 3)
QUESTIONS = ("?", ", and is there fire in it?", " made of, water or wood or land?")


def data():
    counts = {"train": 12, "val": 5, "test": 2, "captions_count": 16, "dense_count": 8}
    return assembly101_dst_demo(**counts, captions=0.25, dense=0.25, neg_frame_sampling_rate=0.5)


def watcher(heads: Any = "binary", path: Path | None = None) -> VLM:
    if path:
        return tiny(path=str(path), device="cpu")
    return for_streams(tiny(seed=1, device="cpu", stream=StreamSettings(heads=heads), width=48, layers=2), seed=1)


def adapted(base: Path) -> VLM:
    return lora(watcher(path=base), rank=4, dropout=0.0)


def fit(folder: Path, vlm: VLM, batch: int, resume: bool = False, **options: Any) -> None:
    """Two ranks with batches of 2 take the steps of one process with batches of 4."""
    folder.mkdir(parents=True, exist_ok=True)
    args = functools.partial(TrainingArguments, per_device_train_batch_size=batch, **{**OPTIONS, **options})
    loss = dst(1.0, 2.0, 0.5, 3.0)
    supervised(args, vlm=vlm, data=data(), loss=loss, folder=folder, seed=0, resume=resume)


def seen(vlm: VLM) -> dict[str, Any]:
    """Results over few items: of two ranks, one may have fewer batches than the other, none, or shorter answers."""
    found: dict[str, Any] = {}
    for number in UNEVEN:
        items = encoded_split(vlm, data().splits["val"][:number], "val", None)
        result = teacher_forced(vlm.model, collator(vlm), dst(1.0, 2.0, 0.5, 3.0), items, 1)
        found[f"forced {number}"] = result.metrics() | {"decided": len(result.decided.samples)}
    ramp = Image.linear_gradient("L").resize((48, 40)).convert("RGB")
    turns = [
        (Turn("user", (Picture(ramp.rotate(30 * i)), f"what is it{question}"))) for i, question in enumerate(QUESTIONS)
    ]
    samples = [Sample(str(i), (turn, Turn("assistant", ("wood",)))) for i, turn in enumerate(turns)]
    # With so many ways to end, and no token twice, answers end at different lengths.
    vlm.bare.generation_config.eos_token_id = list(range(0, len(vlm.tokenizer), 7))
    vlm.bare.generation_config.no_repeat_ngram_size = 1
    found["said"] = [answers(vlm, samples[:number], 1, 12) for number in UNEVEN]
    return found


def train(folder: Path) -> None:
    """Four steps at once, and the same with a stop in the middle."""
    vlm = watcher()
    fit(folder / "whole", vlm, 2, **FSDP)
    if torch.distributed.get_rank() == 0:
        units = [name for name, module in vlm.model.named_modules() if isinstance(module, FSDPModule)]
        (folder / "units.json").write_text(json.dumps(units))
        shutil.copytree(folder / "whole", folder / "resumed")
        shutil.rmtree(folder / "resumed/checkpoints/step-4")
    wait_for_all()
    fit(folder / "resumed", watcher(), 2, resume=True, **FSDP)


def others(folder: Path) -> None:
    """An adapter, a frozen tower with heads from tokens, and everything that is done with a model that is spread."""
    fit(folder / "adapter", adapted(folder / "base"), 2, **SHORT, **FSDP)
    vlm = full(watcher("token"), freeze=[r"model\.vision_model", r"model\.connector"])
    fit(folder / "token", vlm, 2, **GENTLE, **FSDP)
    found = seen(vlm)
    (folder / f"seen-{torch.distributed.get_rank()}.json").write_text(json.dumps(found))


def mixed() -> Dataset:
    """Most samples are words alone, so that one rank often has no picture where the other has some."""
    ramp = Image.linear_gradient("L").resize((48, 40)).convert("RGB")
    samples = []
    for i in range(11):
        shown = (Picture(ramp.rotate(20 * i)), Picture(ramp.rotate(20 * i + 7))) if i in (3, 8) else ()
        turns = (Turn("user", (*shown, f"what is number {i}?")), Turn("assistant", (("fire", "wood")[i % 2],)))
        samples.append(Sample(str(i), turns))
    return Dataset("mixed", "answers", {"train": samples, "val": samples[:5], "test": []}, by_user=False)


def among_pictures(folder: Path, batch: int, **options: Any) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    vlm, data = tiny(seed=1, device="cpu", width=48, layers=2), mixed()
    settings = {**OPTIONS, **SHORT, "per_device_train_batch_size": batch, **options}
    args = functools.partial(TrainingArguments, **settings)
    supervised(args, vlm=vlm, data=data, loss=lm({"answer": 1.0}), folder=folder, seed=0)
    return answers(vlm, data.splits["train"][:5], 1, 6)


def words(folder: Path) -> None:
    said = among_pictures(folder / "two", 2, **FSDP)
    (folder / f"said-{torch.distributed.get_rank()}.json").write_text(json.dumps(said))


def rounded(folder: Path) -> None:
    """In bfloat16: what stays in float32?"""
    vlm = watcher()
    types: dict[str, set[str]] = {"decisions": set(), "logits": set()}
    called = Objective.__call__

    def note(self: Objective, outputs: Any, batch: Any) -> Any:
        types["logits"].add(str(outputs.logits.dtype))
        types["decisions"].add(str(outputs.decisions.dtype))
        return called(self, outputs, batch)

    Objective.__call__ = note  # type: ignore[method-assign]
    fit(folder / "rounded", vlm, 2, bf16=True, **SHORT, **FSDP)
    types["weights"] = {str(parameter.dtype) for parameter in vlm.model.parameters()}
    types["reduced"] = {str(state.AcceleratorState().fsdp_plugin.mixed_precision_policy.reduce_dtype)}
    if torch.distributed.get_rank() == 0:
        (folder / "types.json").write_text(json.dumps({name: sorted(found) for name, found in types.items()}))


def shard_on_the_cpu() -> None:
    """accelerate shards on GPUs alone, and transformers would go on without a word. Here it does the same with gloo."""
    begun = state.AcceleratorState.__init__

    def begin(self: Any, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
        begun(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        if fsdp_plugin is not None:
            self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, fsdp_plugin
            state.PartialState._shared_state["distributed_type"] = DistributedType.FSDP
            if self.mixed_precision != "no":
                fsdp_plugin.set_mixed_precision(self.mixed_precision)

    state.AcceleratorState.__init__ = begin
    sharding._check_processes = lambda settings: None  # which says that there is no GPU


if __name__ == "__main__":
    faulthandler.dump_traceback_later(HANG, exit=True)
    torch.set_num_threads(1)
    shard_on_the_cpu()
    {"train": train, "others": others, "rounded": rounded, "words": words}[sys.argv[1]](Path(sys.argv[2]))
    faulthandler.cancel_dump_traceback_later()
    torch.distributed.destroy_process_group()  # gloo's threads, on a busy machine, outlive what waits for the end
