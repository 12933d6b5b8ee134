"""Fixtures that several rooms share: a tiny model, drawn pictures, the published tokenizer where it is at hand."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest
from PIL import Image
from tests.endpoint import Endpoint

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so a shell starts what runs in its background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the commands under test would inherit it

ROOT = Path(__file__).parent.parent
PUBLISHED = ROOT.parent / "shared" / "data"  # published tokenizers and settings; tests that need them skip without


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Generated data lands in a folder of the test session, never in the user's cache."""
    folder = tmp_path_factory.getbasetemp().parent / "prospect-cache"
    folder.mkdir(exist_ok=True)
    os.environ["PROSPECT_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def published() -> Path:
    if not (PUBLISHED / "SmolVLM2-2.2B-Instruct" / "tokenizer.json").is_file():
        pytest.skip("the published SmolVLM2 files are not here")
    return PUBLISHED


@pytest.fixture(scope="session")
def true_tokenizer(published):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(published / "SmolVLM2-2.2B-Instruct")


@pytest.fixture(scope="session")
def small_tokenizer():
    from prospect.models import words

    return words.small_tokenizer()


@pytest.fixture(scope="session")
def true_qwen_tokenizer():
    folder = PUBLISHED / "Qwen3-VL"
    if not (folder / "vocab.json").is_file():
        pytest.skip("the published Qwen3-VL files are not here")
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="session")
def small_qwen_tokenizer():
    from prospect.models import qwen3_vl_words

    return qwen3_vl_words.small_tokenizer()


@pytest.fixture(scope="session")
def true_nanovlm_tokenizer(published, tmp_path_factory):
    """SmolLM2's, which SmolVLM2 has with other tokens behind, and those of nanoVLM behind it."""
    from transformers import PreTrainedTokenizerFast

    from prospect.models.nanovlm_words import BASE, extended

    whole = json.loads((published / "SmolVLM2-2.2B-Instruct" / "tokenizer.json").read_text())
    whole["added_tokens"] = [token for token in whole["added_tokens"] if token["id"] < BASE]
    path = tmp_path_factory.mktemp("smollm2") / "tokenizer.json"
    path.write_text(json.dumps(whole))
    return extended(PreTrainedTokenizerFast(tokenizer_file=str(path)), "SmolLM2")


@pytest.fixture(scope="session")
def small_nanovlm_tokenizer():
    from prospect.models import nanovlm_words

    return nanovlm_words.small_tokenizer()


@pytest.fixture
def vlm():
    """A fresh tiny model: tests may train it."""
    from prospect.models.tiny import tiny

    return tiny(seed=0, device="cpu")


@pytest.fixture
def picture() -> Image.Image:
    return Image.linear_gradient("L").resize((48, 40)).convert("RGB")


@pytest.fixture
def endpoint():
    """Somebody who may be asked to judge: see tests/endpoint.py."""
    with Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()
