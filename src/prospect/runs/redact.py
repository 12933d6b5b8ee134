"""Secrets out of everything that a run writes down.

Three things tell a secret: the key that it stands under (`hub_token`, `api_key`, `password`), the environment variable
that holds it (`HF_TOKEN`, `*_KEY`), and its own shape (`hf_…`, `sk-…`, `Bearer …`). What a configuration holds under
such a key is remembered, so that the same value is also found in command lines, logs and tracebacks.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from prospect.disk import write_atomically

HIDDEN = "***"
SHORTEST = 8  # a shorter value would strike out ordinary words wherever they occur

_ENVIRONMENT = re.compile(r"(^|_)(TOKEN|KEY|APIKEY|SECRET|PASSWORD|PASSWD)$", re.I)
_ALWAYS = re.compile(
    r"secret|password|passwd|passphrase|credential|api_?key|(access|private|auth|wandb|openai|hf)_key|^authorization$"
)
_TOKEN = re.compile(r"(^|_)token$|(hub|api|auth|access|bearer|hf|wandb|github|session|refresh)_token(_|$)")
_VOCABULARY = re.compile(  # tokens of a tokenizer, and places where a secret lies: the names themselves are no secrets
    r"(^|_)(bos|eos|pad|unk|sep|cls|mask|image|video|frame|end|stop|start|decision|special|next|last|first|per)_token$"
    r"|_(path|file|dir|name|env)$"
)
_REFERENCE = re.compile(r"\$\{oc\.env:\w+\}")  # says where the secret is, not what it is

_SHAPES = re.compile(
    r"""(?<![A-Za-z0-9])(?:
        hf_[A-Za-z0-9]{16,}
      | sk-(?=[\w-]*[0-9A-Z])[\w-]{16,}
      | gh[pousr]_[A-Za-z0-9]{16,} | github_pat_\w{20,} | glpat-[\w-]{16,}
      | A[KS]IA[0-9A-Z]{12,}
      | xox[abprs]-[\w-]{10,}
      | eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*
    )""",
    re.X,
)
_BEARER = re.compile(r"\b(Bearer\s+)[\w.~+/=-]{8,}")
_ADDRESS = re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)")  # https://user:password@host

_VALUE = r"""(?:\$\{oc\.env:\w+\}|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&{}\[\]()'"]+)"""
_LINE = re.compile(r"^([ \t]*(?:- )?[\w.-]+)(:[ \t]+)(\S.*)$", re.M)
_MAPPED = re.compile(rf"""((?:^|[{{,])[ \t]*["']?[\w.-]+)(["']?[ \t]*:[ \t]*)({_VALUE})""", re.M)
_ASSIGNED = re.compile(rf"([\w.@/-]+)(=)({_VALUE})")
_FLAG = re.compile(rf"(--[\w-]+)([ \t]+)({_VALUE})")
_OVERRIDE = re.compile(r"([+~]{0,2}[\w.@/-]+)=(.*)", re.S)

_remembered: set[str] = set()


def is_secret_key(key: str) -> bool:
    """Whether what stands under this key is a secret: `hub_token` is, `max_new_tokens` and `eos_token` are not."""
    name = _name(key)
    return not _VOCABULARY.search(name) and bool(_ALWAYS.search(name) or _TOKEN.search(name))


def redacted(config: Any) -> Any:
    """A deep copy of a plain container without its secrets; their values are remembered for every later text."""
    _remember(config)
    return _without_secrets(config)


def redact_known(text: str) -> str:
    """Without the values known to be secret and the well-known shapes; fit for diffs and results, whose own words
    (`token=…` in code, in an answer) must stay as they are."""
    for value in _known():
        text = text.replace(value, HIDDEN)
    return _ADDRESS.sub(rf"\1{HIDDEN}", _BEARER.sub(rf"\1{HIDDEN}", _SHAPES.sub(HIDDEN, text)))


def redact_text(text: str) -> str:
    """As `redact_known`, and without what is assigned to a secret key: `hub_token=…`, `--api-key …`, `password: …`."""
    text = redact_known(text)
    for pattern in (_LINE, _MAPPED, _ASSIGNED, _FLAG):
        text = pattern.sub(_hide_assigned, text)
    return text


def redact_file(path: Path) -> bool:
    """Rewrite a file without its secrets, atomically; one without secrets stays untouched. True if it was rewritten.
    Hydra writes .hydra/*.yaml itself, with every token of the command line in them."""
    text = path.read_text(encoding="utf-8")
    clean = _yaml(text) if path.suffix in {".yaml", ".yml"} else redact_text(text)
    if clean == text:
        return False
    write_atomically(path, clean)
    return True


class Redaction(logging.Filter):
    """For handlers (a logger's filter would not see the records of its children): the message and the traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact_text(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:  # what a formatter prints in place of exc_info
            record.exc_text = redact_text(record.exc_text)
        return True


def redact_logs() -> None:
    """Every handler of the root logger, train.log's among them; a second call adds nothing."""
    for handler in logging.getLogger().handlers:
        if not any(isinstance(known, Redaction) for known in handler.filters):
            handler.addFilter(Redaction())


def _yaml(text: str) -> str:
    before = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    after = redacted(before)
    return text if after == before else OmegaConf.to_yaml(OmegaConf.create(after))


def _name(key: str) -> str:
    """The last part of a dotted key, in snake case: `trainer.args.hubToken` → `hub_token`."""
    last = re.split(r"[./@]", key)[-1].strip(" \t{,\"'+~-")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", last).lower().replace("-", "_")


def _guards(key: str, value: Any) -> bool:
    """Numbers are secret under `password`, not under `seconds/token`: there they are measurements."""
    return is_secret_key(key) and (not isinstance(value, int | float) or bool(_ALWAYS.search(_name(key))))


def _remember(value: Any, secret: bool = False) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _remember(item, secret or _guards(str(key), item))
    elif isinstance(value, list | tuple):
        for item in value:
            _remember(item, secret)
    elif isinstance(value, str) and (override := _OVERRIDE.fullmatch(value)) and is_secret_key(override[1]):
        _remember(override[2].strip("'\""), secret=True)
    elif secret and _hidden(value) == HIDDEN:
        _remembered.add(str(value))


def _without_secrets(value: Any, secret: bool = False) -> Any:
    if isinstance(value, Mapping):
        return {
            redact_known(key) if isinstance(key, str) else key: _without_secrets(
                item, secret or _guards(str(key), item)
            )
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_item(before, item, secret) for before, item in zip([None, *value], value, strict=False)]
    if secret:
        return _hidden(value)
    return _words(value) if isinstance(value, str) else value


def _item(before: Any, item: Any, secret: bool) -> Any:
    """A list may be an argv: what follows `--api-key` is a secret."""
    flag = isinstance(before, str) and before.startswith("--") and "=" not in before and is_secret_key(before)
    return _without_secrets(item, secret or flag)


def _words(text: str) -> str:
    """A text of a configuration. An override is `key=value` to its very end, blanks included; any other text may be
    somebody's prompt and keeps its own words."""
    override = _OVERRIDE.fullmatch(text)
    if override and is_secret_key(override[1]):
        return f"{override[1]}={_hidden(override[2])}"
    return redact_text(text) if override else _ASSIGNED.sub(_hide_assigned, redact_known(text))


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return value if _harmless(value) else HIDDEN
    return value if value is None or isinstance(value, bool) else HIDDEN


def _harmless(value: str) -> bool:
    """Nothing, a reference to where the secret is, or a token of a vocabulary such as <|im_end|> and [PAD]."""
    empty = value.lower() in {"", "???", "null", "none", "true", "false", HIDDEN}
    return empty or bool(_REFERENCE.fullmatch(value) or re.fullmatch(r"<.*>|\[[A-Z]+\]", value))


def _hide_assigned(found: re.Match[str]) -> str:
    key, between, value = found.groups()
    if not is_secret_key(key) or _harmless(value.strip("'\"")):
        return found.group()
    return f"{key}{between}{HIDDEN}"


def _known() -> list[str]:
    """Longest first, so that no secret is cut in two by one that is part of it."""
    environment = (value for name, value in os.environ.items() if _ENVIRONMENT.search(name))
    return sorted({value for value in (*environment, *_remembered) if len(value) >= SHORTEST}, key=len, reverse=True)
