from __future__ import annotations

import pytest
import torch

from prospect.errors import UserError
from prospect.models.adapt import full, lora
from prospect.models.export import export, main
from prospect.models.loading import trained
from prospect.models.tiny import tiny


def stirred(vlm):
    """LoRA starts as the identity: give it something to say."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in vlm.model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1, generator=generator)
    return vlm


def logits(vlm, ids):
    with torch.no_grad():
        return vlm.model(input_ids=ids).logits


def test_an_adapter_goes_out_as_itself_or_merged(tmp_path):
    vlm = stirred(lora(tiny(seed=3, device="cpu"), rank=4))
    vlm.save(tmp_path / "adapter")
    ids = torch.arange(40)[None] + 300
    whole = trained(str(export(str(tmp_path / "adapter"), tmp_path / "whole", merge=True)), {})
    again = trained(str(export(str(tmp_path / "adapter"), tmp_path / "copy")), {})
    assert not (tmp_path / "whole" / "adapter_config.json").exists()
    assert (tmp_path / "copy" / "adapter_config.json").exists()
    vlm.model.eval()
    assert torch.allclose(logits(whole, ids), logits(vlm, ids), atol=1e-5)
    assert torch.equal(logits(again, ids), logits(vlm, ids))


def test_nothing_is_overwritten_and_a_whole_model_is_not_merged(tmp_path):
    full(tiny(device="cpu")).save(tmp_path / "model")
    with pytest.raises(UserError, match="not empty"):
        export(str(tmp_path / "model"), tmp_path / "model")
    with pytest.raises(UserError, match="no adapter"):
        export(str(tmp_path / "model"), tmp_path / "new", merge=True)
    assert not (tmp_path / "new").exists()


def test_the_command_says_where_the_model_is_and_refuses_in_one_line(tmp_path, monkeypatch, capsys):
    full(tiny(device="cpu")).save(tmp_path / "model")
    monkeypatch.setattr("sys.argv", ["export", str(tmp_path / "model"), str(tmp_path / "out")])
    assert main() == 0
    assert capsys.readouterr().out == f"model {tmp_path / 'out'}\n"
    assert main() == 2
    assert capsys.readouterr().err == f"{tmp_path / 'out'} is not empty; give a new folder\n"


def test_the_number_format_stays(tmp_path):
    full(tiny(device="cpu", dtype="bfloat16")).save(tmp_path / "half")
    out = export(str(tmp_path / "half"), tmp_path / "out")
    assert (out / "model.safetensors").stat().st_size == (tmp_path / "half" / "model.safetensors").stat().st_size
    assert '"dtype": "bfloat16"' in (out / "config.json").read_text()
