"""No secret is written down, and nothing else is touched."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from prospect.runs import redact
from prospect.runs.redact import HIDDEN, Redaction, is_secret_key, redact_file, redact_known, redact_text, redacted

SECRET_KEYS = [
    "hub_token",
    "token",
    "HF_TOKEN",
    "api_key",
    "openai_api_key",
    "apiKey",
    "accessToken",
    "client_secret",
    "password",
    "db-password",
    "aws_secret_access_key",
    "trainer.args.hub_token",
    "+trainer.hub_token",
    "--api-key",
    "credentials",
    "Authorization",
    "hf_token_value",
]
PLAIN_KEYS = [
    "max_new_tokens",
    "num_tokens_per_img",
    "tokenizer",
    "tokens",
    "token_type_ids",
    "image_token",
    "pad_token",
    "eos_token",
    "hub_token_path",
    "seconds_per_token",
    "image_key",
    "key",
    "password_file",
    "text_key",
    "keys",
    "tokenizer_name",
    "image_token_id",
    "model.secrets.size",
]


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    monkeypatch.setattr(redact, "_remembered", set())


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_these_keys_guard_secrets(key):
    assert is_secret_key(key)
    assert redacted({key: "opensesame"}) == {key: HIDDEN}


@pytest.mark.parametrize("key", PLAIN_KEYS)
def test_these_keys_do_not(key):
    assert not is_secret_key(key)
    assert redacted({key: "opensesame"}) == {key: "opensesame"}


SHAPES = [
    "hf_" + "aB3" * 11,
    "sk-proj-4f" + "x" * 30,
    "ghp_" + "a1" * 18,
    "github_pat_" + "a1_" * 10,
    "AKIAIOSFODNN7EXAMPLE",
    "Bearer abcdef.ghij-klm",
]


@pytest.mark.parametrize("secret", SHAPES)
@pytest.mark.parametrize("frame", ["{}", "see {} here", "'{}'", "url?x={}&y=1", "(-{}-)"])
def test_well_known_shapes_anywhere(secret, frame):
    text = redact_known(frame.format(secret))
    assert secret.removeprefix("Bearer ") not in text
    assert HIDDEN in text


@pytest.mark.parametrize(
    "text", ["hf_transformers_cache", "task-sk-learn-and-others-of-that-kind", "AKIA", "the Bearer of"]
)
def test_look_alikes_stay(text):
    assert redact_text(text) == text


def test_the_original_is_left_alone_and_the_copy_is_deep():
    config = {"hub": {"token": "opensesame", "sizes": [1, {"a": 2}]}, "max_new_tokens": 16}
    copy = redacted(config)
    assert copy == {"hub": {"token": HIDDEN, "sizes": [1, {"a": 2}]}, "max_new_tokens": 16}
    copy["hub"]["sizes"][1]["a"] = 3
    assert config == {"hub": {"token": "opensesame", "sizes": [1, {"a": 2}]}, "max_new_tokens": 16}


def test_below_a_secret_key_everything_is_secret():
    assert redacted({"secrets": {"openai": "abc", "pins": [1234, "x"]}}) == {
        "secrets": {"openai": HIDDEN, "pins": [HIDDEN, HIDDEN]}
    }


def test_what_is_no_secret_under_a_secret_key():
    config = {"token": None, "hub_token": True, "password": "", "seconds/token": 0.25, "token_": "${oc.env:HF_TOKEN}"}
    assert redacted(config) == config
    assert redacted({"tok": {"eos_token": "<|im_end|>"}, "end_of_turn_token": "<end>"}) == {
        "tok": {"eos_token": "<|im_end|>"},
        "end_of_turn_token": "<end>",
    }


def test_a_reference_with_a_default_holds_a_secret():
    assert redacted({"token": "${oc.env:HF_TOKEN,opensesame}"}) == {"token": HIDDEN}


def test_an_argv():
    argv = ["train.py", "--api-key", "opensesame", "+hub_token=two words", "seed=1", "--password=opensesame2"]
    assert redacted(argv) == ["train.py", "--api-key", HIDDEN, f"+hub_token={HIDDEN}", "seed=1", f"--password={HIDDEN}"]


def test_a_prompt_of_the_configuration_keeps_its_words():
    prompt = "Write one token: water. Say {'token': 'x'}\ntoken: y"
    assert redacted({"prompt": prompt}) == {"prompt": prompt}


def test_a_secret_of_the_configuration_is_found_elsewhere():
    redacted({"hub_token": "opensesame", "n": 1})
    assert redact_known("cannot reach https://x/?k=opensesame") == f"cannot reach https://x/?k={HIDDEN}"
    redacted({"trainer": ["a.hub_token=sesame-again"]})
    assert redact_known("sesame-again!") == f"{HIDDEN}!"


@pytest.mark.parametrize("name", ["HF_TOKEN", "WANDB_API_KEY", "MY_SECRET", "DB_PASSWORD", "some_key"])
def test_values_of_secret_environment_variables(monkeypatch, name):
    monkeypatch.setenv(name, "p(q.r)*s+t")
    monkeypatch.setenv("MONKEY", "ordinary-value")
    assert redact_known("x p(q.r)*s+t y ordinary-value") == f"x {HIDDEN} y ordinary-value"


def test_short_values_of_the_environment_strike_out_no_words(monkeypatch):
    monkeypatch.setenv("MY_KEY", "water")
    assert redact_text("water") == "water"


def test_a_secret_inside_a_longer_one_leaves_no_rest(monkeypatch):
    monkeypatch.setenv("A_KEY", "abcdefgh")
    monkeypatch.setenv("B_KEY", "abcdefghijkl")
    assert redact_known("abcdefghijkl") == HIDDEN


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (
            "python train.py trainer.args.hub_token=abc seed=1",
            f"python train.py trainer.args.hub_token={HIDDEN} seed=1",
        ),
        ("a=1,hub_token=abc,b=2", f"a=1,hub_token={HIDDEN},b=2"),
        ("+hub={token:abc,url:x}", f"+hub={{token:{HIDDEN},url:x}}"),
        ('{"api_key": "a b", "n": 1}', f'{{"api_key": {HIDDEN}, "n": 1}}'),
        ("  password: correct horse\nn: 1", f"  password: {HIDDEN}\nn: 1"),
        ("--api-key abc --n 1", f"--api-key {HIDDEN} --n 1"),
        ("token='a b' n=1", f"token={HIDDEN} n=1"),
        ("hub_token=${oc.env:HF_TOKEN}", "hub_token=${oc.env:HF_TOKEN}"),
        ("git clone https://me:pass@host/x", f"git clone https://me:{HIDDEN}@host/x"),
        ("max_new_tokens=16 tokens: 5 eos_token=<end> use_auth_token=True", None),
        ("the next token: water", None),
    ],
)
def test_assignments_in_texts(text, clean):
    assert redact_text(text) == (clean or text)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=80))
def test_redacting_twice_is_redacting_once(text):
    once = redact_text(text)
    assert redact_text(once) == once


@given(
    st.text("abcdefghijklmnopqrstuvwxyzABCDEF0123456789-_", min_size=8, max_size=30),
    st.sampled_from(["hub_token", "password", "a.b.api_key"]),
    st.text(alphabet=st.characters(codec="utf-8"), max_size=20),
)
def test_a_configured_secret_survives_nowhere(secret, key, around):
    redact._remembered.clear()
    if redact._harmless(secret):
        return
    clean = redacted({"config": {key: secret}, "argv": [f"{key}={secret}", around + secret + around]})
    if secret in around or secret in key:
        return
    assert secret not in repr(clean)


HYDRA = """
trainer:
  args: {hub_token: opensesame, learning_rate: 1e-3, max_new_tokens: 16, name: '1e-5', out: '${x.y}'}
x: ???
"""


def test_hydras_files(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(HYDRA)
    file.chmod(0o644)
    assert redact_file(file)
    assert "opensesame" not in file.read_text()
    before = OmegaConf.to_container(OmegaConf.create(HYDRA))
    after = OmegaConf.to_container(OmegaConf.create(file.read_text()))
    assert isinstance(before, dict)
    before["trainer"]["args"]["hub_token"] = HIDDEN
    assert after == before  # types too: 1e-3 stays a number, '1e-5' a text, ${x.y} an interpolation
    assert os.listdir(tmp_path) == ["config.yaml"]  # noqa: PTH208


def test_hydras_list_of_overrides(tmp_path):
    file = tmp_path / "overrides.yaml"
    file.write_text("- seed=1\n- +trainer.args.hub_token=short\n")
    assert redact_file(file)
    assert yaml.safe_load(file.read_text()) == ["seed=1", f"+trainer.args.hub_token={HIDDEN}"]


def test_a_file_without_secrets_is_not_even_rewritten(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("a:   1   # a comment\n")
    inode = file.stat().st_ino
    assert not redact_file(file)
    assert (file.read_text(), file.stat().st_ino) == ("a:   1   # a comment\n", inode)


def test_logs(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "opensesame-42")
    handler = logging.FileHandler(tmp_path / "train.log")
    handler.addFilter(Redaction())
    log = logging.getLogger("some.child")
    logging.getLogger().addHandler(handler)
    try:
        log.error("with %s and 100%% of %r", "opensesame-42", {"password": "abc"})
        try:
            raise OSError("401 for Bearer opensesame-42")
        except OSError:
            log.exception("failed")
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    text = (tmp_path / "train.log").read_text()
    assert "opensesame" not in text
    assert "abc" not in text
    assert "and 100% of" in text
    assert "raise OSError" in text
