from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest
import torch

from prospect.errors import UserError
from prospect.models import hub
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


# --- to the hub -----------------------------------------------------------------------------------------------------


class Hub:
    """What is asked of the hub's client, kept instead of sent."""

    endpoint = "https://hub.test"
    asked: list

    def __init__(self):
        Hub.asked = []

    def whoami(self):
        Hub.asked.append("whoami")

    def create_repo(self, name, **options):
        Hub.asked.append((name, options))

    def upload_folder(self, repo_id, folder_path, **options):
        files = {str(p.relative_to(folder_path)): p.read_bytes() for p in folder_path.rglob("*") if p.is_file()}
        Hub.asked.append((repo_id, files))


@pytest.fixture
def pushing(monkeypatch):
    kept = Hub()
    monkeypatch.setattr(hub, "HfApi", lambda: kept)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    return lambda *words: (monkeypatch.setattr("sys.argv", ["export", *map(str, words)]), main())[1]


def test_nothing_is_pushed_unless_it_is_asked_for(tmp_path, pushing):
    full(tiny(device="cpu")).save(tmp_path / "model")
    assert pushing(tmp_path / "model", tmp_path / "out") == 0
    assert Hub.asked == []
    assert pushing(tmp_path / "model", tmp_path / "more", "--public") == 2


@pytest.mark.parametrize("public", [False, True])
def test_a_whole_model_is_pushed_and_tells_no_place_of_this_machine(tmp_path, pushing, capsys, public):
    tiny(seed=1, device="cpu").save(tmp_path / "base")
    stirred(lora(tiny(path=str(tmp_path / "base"), device="cpu"), rank=4)).save(tmp_path / "run")
    options = ["--public"] if public else []
    assert pushing(tmp_path / "run", tmp_path / "out", "--merged", "--push", "me/model", *options) == 0
    assert capsys.readouterr().out == f"pushed https://hub.test/me/model\nmodel {tmp_path / 'out'}\n"
    _, created, (name, files) = Hub.asked
    assert created == ("me/model", {"private": not public, "exist_ok": True})
    assert name == "me/model"
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= files.keys()
    assert not [path for path, content in files.items() if str(tmp_path).encode() in content]


def test_an_adapter_is_pushed_where_others_have_its_base(tmp_path, pushing, capsys):
    tiny(seed=1, device="cpu").save(tmp_path / "base")
    lora(tiny(path=str(tmp_path / "base"), device="cpu"), rank=4, name="anna").save(tmp_path / "run")
    assert pushing(tmp_path / "run", tmp_path / "out", "--push", "me/model") == 2
    assert "push the whole model with --merged" in capsys.readouterr().err
    assert (Hub.asked, (tmp_path / "out").exists()) == ([], False)
    record = json.loads((tmp_path / "run" / "base.json").read_text())
    (tmp_path / "run" / "base.json").write_text(json.dumps(record | {"source": "them/base"}))
    assert pushing(tmp_path / "run", tmp_path / "out", "--push", "me/model") == 0
    files = Hub.asked[-1][1]
    assert json.loads(files["anna/adapter_config.json"])["base_model_name_or_path"] == "them/base"
    assert json.loads(files["base.json"])["source"] == "them/base"
    assert not [path for path, content in files.items() if str(tmp_path).encode() in content]


def test_what_cannot_be_pushed_is_said_before_anything_is_written(tmp_path, pushing, monkeypatch, capsys):
    full(tiny(device="cpu")).save(tmp_path / "model")
    assert pushing(tmp_path / "model", tmp_path / "out", "--push", "model") == 2
    assert "no hub name, OWNER/NAME" in capsys.readouterr().err
    monkeypatch.setattr(hub, "get_token", lambda: None)
    assert pushing(tmp_path / "model", tmp_path / "out", "--push", "me/model") == 2
    assert "set HF_TOKEN" in capsys.readouterr().err
    assert (Hub.asked, (tmp_path / "out").exists()) == ([], False)


@contextmanager
def refusing():
    """A hub that takes no token."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(401)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("there", [True, False])
def test_a_hub_that_refuses_or_is_not_there_is_an_answer_in_one_line(tmp_path, monkeypatch, capsys, there):
    full(tiny(device="cpu")).save(tmp_path / "model")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr("sys.argv", ["export", str(tmp_path / "model"), str(tmp_path / "out"), "--push", "me/model"])
    with refusing() as address:
        client = huggingface_hub.HfApi(endpoint=address if there else "http://127.0.0.1:9")
        monkeypatch.setattr(hub, "HfApi", lambda: client)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        assert main() == 2
    said = capsys.readouterr().err
    assert said.startswith("--push me/model: the hub did not take the token, or cannot be reached (")
    assert "hf_secret" not in said
    assert not (tmp_path / "out").exists()
