"""Claims of FSDP2: sharded training ≡ one process, with every term and every kind of adaptation; checkpoints are whole
models and resume exactly; nothing hangs where one rank has less to do; what cannot work is refused before step 0.

Two processes on the CPU, wrapped by accelerate as it does on GPUs. Several GPUs were never tried.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tests.training import sharded_run
from torch import nn
from transformers import TrainingArguments

from prospect.errors import UserError
from prospect.models.adapt import full, lora
from prospect.models.base import Base
from prospect.models.tiny import tiny
from prospect.models.tiny_qwen3_vl import tiny_qwen3_vl
from prospect.training import sharding
from prospect.training.arguments import arguments

ROOT = Path(__file__).parent.parent.parent
TERMS = {"speaking_gen", "dst_gen", "speaking_binary", "dst_binary"}


def two_processes(what: str, folder: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    command = [*launch, sharded_run.__file__, what, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3 * sharded_run.HANG)
    assert done.returncode == 0, done.stderr[-3000:]


def weights(run: Path, step: int = 4, file: str = "model") -> dict[str, torch.Tensor]:
    return load_file(run / f"checkpoints/step-{step}/{file}.safetensors")


def logs(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def same_weights(some: dict, others: dict) -> None:
    assert some.keys() == others.keys()
    for name, weight in some.items():
        assert torch.allclose(weight, others[name], atol=1e-5, rtol=0), name


def same_logs(some: list[dict], others: list[dict]) -> None:
    for ours, theirs in zip(some, others, strict=True):
        assert ours.keys() == theirs.keys()
        for key in ours.keys() - {"seconds"}:
            assert ours[key] == pytest.approx(theirs[key], abs=1e-5, rel=1e-5), key


def test_sharded_training_equals_one_process_and_resumes_exactly(tmp_path):
    sharded_run.fit(tmp_path / "one", sharded_run.watcher(), 4)
    two_processes("train", tmp_path)
    same_weights(weights(tmp_path / "one"), weights(tmp_path / "whole"))
    same_logs(logs(tmp_path / "one"), logs(tmp_path / "whole"))
    assert {f"train/loss_{term}" for term in TERMS} <= set().union(*logs(tmp_path / "whole"))
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "resumed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    same_logs(logs(tmp_path / "whole"), logs(tmp_path / "resumed"))
    units = json.loads((tmp_path / "units.json").read_text())
    layers = ["model.vision_model.encoder.layers.0", "model.text_model.layers.0", "model.text_model.layers.1"]
    assert set(units) == {"", *layers, "model.text_model.embed_tokens", "lm_head"}
    folder = tmp_path / "whole/checkpoints/step-4"
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["DSTSmolVLMForConditionalGeneration"]
    loaded = sharded_run.watcher(path=folder).model.state_dict()
    assert all(torch.equal(loaded[name], weight) for name, weight in whole.items())


def test_adapters_frozen_towers_and_uneven_shares(tmp_path):
    sharded_run.watcher().save(tmp_path / "base")
    frozen = full(sharded_run.watcher("token"), freeze=[r"model\.vision_model", r"model\.connector"])
    sharded_run.fit(tmp_path / "one-token", frozen, 4, **sharded_run.GENTLE)
    sharded_run.fit(tmp_path / "one-adapter", sharded_run.adapted(tmp_path / "base"), 4, **sharded_run.SHORT)
    two_processes("others", tmp_path)
    for name, file in (("token", "model"), ("adapter", "adapter_model")):
        same_weights(weights(tmp_path / f"one-{name}", 2, file), weights(tmp_path / name, 2, file))
        same_logs(logs(tmp_path / f"one-{name}"), logs(tmp_path / name))
    adapter = sharded_run.watcher(path=tmp_path / "adapter/checkpoints/step-2")
    assert adapter.adapter_base is not None
    one = sharded_run.seen(sharded_run.watcher(path=tmp_path / "token/checkpoints/step-2"))
    both = [json.loads((tmp_path / f"seen-{rank}.json").read_text()) for rank in (0, 1)]
    assert both[0] == both[1]
    assert both[0]["said"] == one["said"]
    assert [len(said) for said in one["said"]] == list(sharded_run.UNEVEN)
    assert len({len(text) for text in one["said"][-1]}) > 1
    for name in one.keys() - {"said"}:
        assert both[0][name] == pytest.approx(one[name], abs=1e-5, rel=1e-5)


@pytest.mark.slow
def test_in_bfloat16_weights_and_decisions_stay_in_float32(tmp_path):
    two_processes("rounded", tmp_path)
    types = json.loads((tmp_path / "types.json").read_text())
    assert types == {
        "decisions": ["torch.float32"],
        "logits": ["torch.bfloat16"],
        "weights": ["torch.float32"],
        "reduced": ["torch.float32"],
    }


# --- what is refused before the first step --------------------------------------------------------------------------


def settings(processes: int = 2, device: str = "cuda", **config):
    """What `check` reads of TrainingArguments: no GPU is here."""
    layers = {"transformer_layer_cls_to_wrap": sharded_run.LAYERS}
    return SimpleNamespace(
        fsdp=True, fsdp_config={"version": 2, **layers, **config}, world_size=processes, device=torch.device(device)
    )


def test_what_can_work_passes(vlm):
    sharding.check(settings(), vlm, "adamw")
    sharding.check(SimpleNamespace(fsdp=None), vlm, "muon")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"processes": 1}, "fsdp on a single process"),
        ({"device": "cpu"}, "without a GPU"),
        ({"version": 1}, "fsdp_config.version=1"),
        ({"activation_checkpointing": True}, "fsdp_config.activation_checkpointing"),
        ({"cpu_offload": True}, "fsdp_config.cpu_offload"),
        ({"transformer_layer_cls_to_wrap": ["SmolVLMDecoderLayer"]}, "no SmolVLMDecoderLayer.*LlamaDecoderLayer"),
        ({"transformer_layer_cls_to_wrap": None}, "transformer_layer_cls_to_wrap is empty.*LlamaDecoderLayer"),
    ],
)
def test_settings_that_cannot_work_are_refused(vlm, given, said):
    with pytest.raises(UserError, match=f"trainer.args.*{said}"):
        sharding.check(settings(**given), vlm, "adamw")


def test_muon_is_refused(vlm):
    with pytest.raises(UserError, match=r"trainer\.optimizer=muon"):
        sharding.check(settings(), vlm, "muon")


def test_an_adapter_on_weights_that_lie_nowhere_is_refused(vlm):
    adapted = lora(vlm)
    with pytest.raises(UserError, match="adapt=lora"):
        sharding.check(settings(), adapted, "adamw")
    sharding.check(settings(), replace(adapted, adapter_base=Base("folder")), "adamw")


def test_a_run_on_one_process_is_refused(tmp_path):
    with pytest.raises(UserError, match="single process"):
        sharded_run.fit(tmp_path, sharded_run.watcher(), 2, **sharded_run.FSDP)


def test_whole_parameters_are_not_taken_for_sharded_ones():
    with pytest.raises(UserError, match=r"trainer\.args\.fsdp.*2 parameters.*weight"):
        sharding.check_sharded(nn.Linear(2, 2))


def test_an_adapter_on_four_bits_is_refused(vlm):
    with pytest.raises(UserError, match="adapt=qlora with"):
        sharding.check(settings(), replace(lora(vlm), adapter_base=Base("folder", four_bit="bfloat16")), "adamw")


LAYERS = {
    tiny: ["LlamaDecoderLayer", "SmolVLMEncoderLayer"],
    tiny_qwen3_vl: ["Qwen3VLTextDecoderLayer", "Qwen3VLVisionBlock"],
}


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("family", LAYERS)
def test_the_option_gathers_the_layers_of_whatever_model(tmp_path, family, adapted):
    vlm = lora(family(device="cpu")) if adapted else family(device="cpu")
    args = yaml.safe_load((ROOT / "conf/trainer/fsdp2.yaml").read_text())["args"]
    args = functools.partial(TrainingArguments, **{**args, "eval_strategy": "no"})
    own = {"use_cpu": True, **sharding.layers(args, vlm)}
    made = arguments(args, tmp_path, own, 8, False)
    assert made.fsdp_config["transformer_layer_cls_to_wrap"] == LAYERS[family]
    assert made.fsdp_plugin_args["fsdp_version"] == 2
    seen = SimpleNamespace(fsdp=made.fsdp, fsdp_config=made.fsdp_config, world_size=2, device=torch.device("cuda"))
    sharding.check(seen, replace(vlm, adapter_base=Base("folder") if adapted else None), "adamw")


def test_layers_that_the_user_names_stand(vlm):
    named = functools.partial(TrainingArguments, fsdp="true", fsdp_config={"transformer_layer_cls_to_wrap": ["Other"]})
    assert sharding.layers(named, vlm) == {}
    assert sharding.layers(functools.partial(TrainingArguments), vlm) == {}


def test_words_alone_among_pictures(tmp_path, cache):
    """A rank without a picture runs the tower all the same, in training, in evaluation and where it answers."""
    two_processes("words", tmp_path)
    said = sharded_run.among_pictures(tmp_path / "one", 4)
    same_weights(weights(tmp_path / "one", 2), weights(tmp_path / "two", 2))
    same_logs(logs(tmp_path / "one"), logs(tmp_path / "two"))
    for rank in (0, 1):
        assert json.loads((tmp_path / f"said-{rank}.json").read_text()) == said
