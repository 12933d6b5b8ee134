"""Claims: features give the training step that pixels give; features of another tower are refused; ranks don't wait."""

from __future__ import annotations

import functools
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainingArguments

from prospect.data.assembly.demo import assembly101_dst_demo
from prospect.data.encode import Tower, videos, write
from prospect.data.frames import FeatureStore, write_features
from prospect.errors import UserError
from prospect.evaluation.score import score
from prospect.models.adapt import full, lora
from prospect.models.features import encode_frames, tower_facts
from prospect.models.stream import for_streams
from prospect.models.stream_settings import StreamSettings
from prospect.models.tiny import tiny
from prospect.models.vlm import VLM
from prospect.training.fit import supervised
from prospect.training.losses import dst
from prospect.training.stored import check_features, freeze_for_features, learnt_tower

ROOT = Path(__file__).parent.parent.parent
SMALL = {"train": 4, "val": 0, "test": 1, "captions": 0, "captions_count": 0, "dense": 0, "dense_count": 0}
TOWER = [r"model\.vision_model", r"model\.connector"]


def watching(**options) -> VLM:
    options = {"device": "cpu", "seed": 3, "scale_factor": 1, "stream": StreamSettings(frame_grid=[1, 2])} | options
    return for_streams(tiny(**options), seed=1)


def encoded(vlm: VLM, out: Path, data) -> str:
    def encode(pictures) -> np.ndarray:
        return encode_frames(vlm, pictures).numpy()

    write(videos(data), out, Tower(encode, {**tower_facts(vlm), "model": "a tiny one", "dtype": "float32"}), batch=16)
    return str(out)


@pytest.fixture(scope="module")
def features(tmp_path_factory) -> str:
    return encoded(watching(), tmp_path_factory.mktemp("features"), assembly101_dst_demo(**SMALL))


@pytest.fixture
def data(features):
    return assembly101_dst_demo(features=features, **SMALL)


def step(vlm: VLM, data, folder: Path) -> dict[str, torch.Tensor]:
    args = functools.partial(
        TrainingArguments,
        per_device_train_batch_size=4,
        max_steps=1,
        learning_rate=0.05,
        optim="sgd",
        save_strategy="no",
        max_grad_norm=0,
    )
    folder.mkdir()
    supervised(args, vlm=vlm, data=data, loss=dst(), folder=folder, seed=0)
    return {name: p.detach() for name, p in vlm.model.named_parameters()}


@pytest.mark.parametrize("adapt", [functools.partial(full, freeze=TOWER), lora], ids=["full", "lora"])
def test_the_same_step_as_with_pixels(data, tmp_path, adapt):
    start = dict(adapt(watching()).model.named_parameters())
    pixels = step(adapt(watching()), assembly101_dst_demo(**SMALL), tmp_path / "pixels")
    vlm = adapt(watching())
    freeze_for_features(vlm, data)
    stored = step(vlm, data, tmp_path / "stored")
    moved = [name for name, p in pixels.items() if not torch.equal(p, start[name])]
    assert any("decisions" in name for name in moved)
    assert any("text_model" in name for name in moved)
    assert max((pixels[name] - stored[name]).abs().max().item() for name in pixels) <= 1e-5


def test_no_tower_is_run(data, tmp_path, monkeypatch):
    vlm = full(watching(), freeze=TOWER)
    monkeypatch.setattr(type(vlm.bare), "feature_grid", None)
    step(vlm, data, tmp_path / "run")


def test_the_tower_is_frozen_and_it_is_said(data, caplog):
    vlm = full(watching())
    assert learnt_tower(vlm)
    with caplog.at_level(logging.INFO):
        freeze_for_features(vlm, data)
    assert not learnt_tower(vlm)
    assert all(
        p.requires_grad for name, p in vlm.model.named_parameters() if "vision" not in name and "conn" not in name
    )
    assert "vision and connector are frozen, so 69,632 more parameters" in caplog.text


def test_without_features_nothing_is_frozen():
    vlm = full(watching())
    freeze_for_features(vlm, assembly101_dst_demo(**SMALL))
    assert learnt_tower(vlm)


@pytest.mark.parametrize("options", [{"targets": [r".*vision_model.*\.q_proj"]}, {"train": [r"model\.connector"]}])
def test_an_adapter_on_the_tower_is_refused(data, options):
    with pytest.raises(
        UserError, match=r"adapt trains model\.(vision_model|connector).*adapt\.targets and adapt\.train"
    ):
        freeze_for_features(lora(watching(), **options), data)


def test_features_of_another_tower_are_refused(data, tmp_path):
    told = r"made by tower \w{12} \(a tiny one\) and the model's tower and connector are \w{12}"
    with pytest.raises(UserError, match=told):
        freeze_for_features(full(watching(seed=4)), data)
    with pytest.raises(UserError, match=told):
        score(watching(seed=4), data, ("test",), dst())


def test_a_tower_that_was_trained_no_longer_fits_its_features(data):
    vlm = full(watching())
    check_features(vlm, data)
    with torch.no_grad():
        next(vlm.bare.get_submodule("model.connector").parameters()).mul_(1.001)
    with pytest.raises(UserError, match="were trained since"):
        check_features(vlm, data)


def test_features_of_another_grid_or_width_are_refused(data):
    with pytest.raises(
        UserError, match=r"frame_grid \[1, 2\] and the model has \[1\].*model.stream.frame_grid=\[1,2\]"
    ):
        check_features(watching(stream=StreamSettings(frame_grid=[1])), data)
    with pytest.raises(UserError, match="5 tokens of 96 floats a frame and the model 5 of 48"):
        check_features(watching(width=48), data)


def test_features_of_nobody_knows_which_tower_are_refused(features, tmp_path):
    for path in Path(features).rglob("*.arrow"):
        store = FeatureStore(path)
        target = tmp_path / path.relative_to(features)
        write_features(target, list(store.features(0, len(store))), {"fps": 2})
    with pytest.raises(UserError, match="does not say which tower made it"):
        check_features(watching(), assembly101_dst_demo(features=str(tmp_path), **SMALL))


def test_shapes_alone_are_checked_without_weights(data):
    check_features(watching(seed=4, device="meta"), data)


def test_training_a_tower_that_is_not_run_is_a_programmer_s_mistake(data, tmp_path):
    with pytest.raises(AssertionError, match="freeze_for_features"):
        step(full(watching()), data, tmp_path / "run")


WORKER = """
import functools, sys
from pathlib import Path
import torch
from transformers import TrainingArguments
from prospect.data.assembly.demo import assembly101_dst_demo
from prospect.models.adapt import full
from prospect.models.stream import for_streams
from prospect.models.stream_settings import StreamSettings
from prospect.models.tiny import tiny
from prospect.training.fit import supervised
from prospect.training.losses import dst
from prospect.training.stored import freeze_for_features

folder, batch = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)
data = assembly101_dst_demo(features=sys.argv[3], train=4, val=0, test=1, captions=0, captions_count=0, dense=0,
                            dense_count=0)
vlm = full(for_streams(tiny(device="cpu", seed=3, scale_factor=1, stream=StreamSettings(frame_grid=[1, 2])), seed=1))
freeze_for_features(vlm, data)
args = functools.partial(TrainingArguments, per_device_train_batch_size=batch, max_steps=3, learning_rate=0.01,
                         optim="sgd", save_steps=3)
folder.mkdir(parents=True, exist_ok=True)
supervised(args, vlm=vlm, data=data, loss=dst(), folder=folder, seed=0)
"""


def test_ranks_do_not_wait_for_the_tower(tmp_path, features):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    (tmp_path / "worker.py").write_text(WORKER)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for name, launch, batch in (("one", [], "2"), ("two", torchrun, "1")):
        words = [sys.executable, *launch, str(tmp_path / "worker.py"), str(tmp_path / name), batch, features]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (load_file(tmp_path / name / "checkpoints/step-3/model.safetensors") for name in ("one", "two"))
    assert max((one[name] - two[name]).abs().max().item() for name in one) <= 1e-6
