"""SmolVLM2: the true architectures, and every way in which one can (or cannot) be had without the hub."""

import socket
import time

import pytest
import torch

from prospect.errors import UserError
from prospect.models import hub
from prospect.models.images import ImageSettings
from prospect.models.smolvlm import SIZES, Size, smolvlm2

NAMES = {
    "2.2b": "HuggingFaceTB/SmolVLM2-2.2B-Instruct",
    "500m": "HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
    "256m": "HuggingFaceTB/SmolVLM2-256M-Video-Instruct",
}
DWARF = Size(64, 96, 1, 1, 1, 1e5, 32, 64, 1, 2, 32, 8, scale_factor=4, longest_edge=64)


@pytest.fixture
def dwarf(monkeypatch) -> None:
    """The 256m size shrunk to what a test can build; everything else stays real."""
    monkeypatch.setitem(SIZES, "256m", DWARF)


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    download = hub.snapshot_download
    monkeypatch.setattr(hub, "snapshot_download", lambda *a, **k: download(*a, cache_dir=tmp_path / "cache", **k))


@pytest.mark.parametrize(("size", "count"), [("256m", 256_484_928), ("500m", 507_482_304), ("2.2b", 2_246_784_880)])
@pytest.mark.parametrize("weights", ["random", "pretrained"])
def test_parameter_counts_are_those_of_the_published_files(size, count, weights):
    vlm = smolvlm2(size, NAMES[size], weights=weights, device="meta")
    assert vlm.parameter_counts()["total"] == count
    assert vlm.device.type == "meta"
    assert vlm.model.dtype == torch.bfloat16
    assert vlm.images.tokens == (81 if size == "2.2b" else 64)


def test_without_the_tokenizer_a_stand_in_is_used_and_said(caplog):
    vlm = smolvlm2("256m", NAMES["256m"], device="meta")
    assert "stand-in" in caplog.text
    assert len(vlm.tokenizer) == 49280
    assert vlm.tokenizer.convert_tokens_to_ids("<image>") == vlm.image_token_id == 49190


@pytest.mark.usefixtures("dwarf")
def test_random_weights_follow_the_seed_and_come_back_bit_equal(tmp_path):
    options = {"weights": "random", "dtype": "float32", "device": "cpu"}
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    vlm, other = smolvlm2("256m", NAMES["256m"], seed=1, **options), smolvlm2("256m", NAMES["256m"], seed=2, **options)
    assert torch.equal(torch.rand(3), expected)
    vlm.save(tmp_path / "saved")
    again = smolvlm2("256m", str(tmp_path / "saved"), dtype="float32", device="cpu", image=ImageSettings(split=False))
    ids = torch.tensor([[1, 5, 7, 49279]])
    assert torch.equal(again.model(ids).logits, vlm.model(ids).logits)
    assert not torch.equal(other.model(ids).logits, vlm.model(ids).logits)
    assert (vlm.images.split, again.images.split) == (True, False)
    with pytest.raises(UserError, match=r"holds 256m, not size 2\.2b"):
        smolvlm2("2.2b", str(tmp_path / "saved"), device="cpu")


@pytest.mark.usefixtures("dwarf")
def test_settings_reach_the_model(tmp_path):
    vlm = smolvlm2(
        "256m",
        NAMES["256m"],
        weights="random",
        dtype="float16",
        device="cpu",
        attention="eager",
        gradient_checkpointing=True,
        image=ImageSettings(split=False, size=32, letterbox=True),
    )
    assert vlm.model.dtype == torch.float16
    assert vlm.model.config.text_config._attn_implementation == "eager"
    assert vlm.model.model.text_model.gradient_checkpointing
    assert (vlm.images.split, vlm.images.size, vlm.images.letterbox) == (False, 32, True)
    with pytest.raises(UserError, match="flash-attn"):
        smolvlm2("256m", NAMES["256m"], weights="random", device="cpu", attention="flash_attention_2")


@pytest.mark.usefixtures("dwarf")
def test_a_folder_without_weights_serves_random_ones_only(tmp_path):
    smolvlm2("256m", NAMES["256m"], weights="random", device="cpu").save(tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").unlink()
    smolvlm2("256m", str(tmp_path / "m"), weights="random", device="cpu")
    with pytest.raises(UserError, match="holds no weights"):
        smolvlm2("256m", str(tmp_path / "m"), device="cpu")
    with pytest.raises(UserError, match="not size 500m"):
        smolvlm2("500m", str(tmp_path / "m"), weights="random", device="meta")


def test_a_hub_that_never_answers_is_given_up_at_once(monkeypatch):
    silent = socket.create_server(("127.0.0.1", 0))  # takes the connection and says nothing
    api = hub.HfApi(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
    monkeypatch.setattr(hub, "HfApi", lambda: api)
    monkeypatch.setattr(hub, "ANSWER_SECONDS", 0.3)
    start = time.monotonic()
    with silent, pytest.raises(UserError) as error:
        smolvlm2("2.2b", NAMES["2.2b"])
    assert time.monotonic() - start < 2
    for word in (NAMES["2.2b"], "hub name", "local folder", "hf download", "model.path=FOLDER", "model.weights=random"):
        assert word in str(error.value)


@pytest.mark.parametrize("path", ["/no/such/folder", "just-a-word"])
@pytest.mark.parametrize("weights", ["random", "pretrained"])
def test_what_is_neither_folder_nor_name_is_said(path, weights):
    with pytest.raises(UserError, match=f"no folder {path}"):
        smolvlm2("2.2b", path, weights=weights)


@pytest.mark.usefixtures("dwarf")
def test_a_hub_name_is_fetched_once_then_read_from_its_folder(monkeypatch, tmp_path):
    smolvlm2("256m", NAMES["256m"], weights="random", dtype="float32", device="cpu").save(tmp_path / "snapshot")
    asked = []

    def snapshot(name, allow_patterns, local_files_only):
        asked.append((name, local_files_only))
        return str(tmp_path / "snapshot")

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    monkeypatch.setattr(hub, "_silence", lambda name: None)
    assert smolvlm2("256m", NAMES["256m"], device="cpu").model.dtype == torch.bfloat16
    monkeypatch.setattr(hub, "_silence", lambda name: "no network")
    smolvlm2("256m", NAMES["256m"], device="cpu")
    assert asked == [(NAMES["256m"], False), (NAMES["256m"], True)]
