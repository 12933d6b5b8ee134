"""Where a model lies: a folder on this machine, or a name on the hub that is brought here once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, get_token, snapshot_download
from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

from prospect.errors import UserError
from prospect.models.sealed import model_folder

ANSWER_SECONDS = 3  # without a limit of our own, a network that swallows packets would hang for minutes
SETTINGS = ["*.json", "*.jinja", "*.txt"]
WEIGHTS = ["*.safetensors"]


def fetched(path: str, key: str = "model.path", weights: bool = True) -> Path:
    """The folder behind a local path or a hub name; downloads what is missing. `weights=False` asks for words alone."""
    local = Path(path).expanduser()
    if local.exists():
        return local if not weights and _words_alone(local) else model_folder(path)
    if not _is_hub_name(path):
        raise UserError(f"{key}: there is no folder {path}, and it is no hub name (OWNER/NAME) either")
    patterns = SETTINGS + (WEIGHTS if weights else [])
    silence = _silence(path)
    try:
        return Path(snapshot_download(path, allow_patterns=patterns, local_files_only=silence is not None))
    except (OSError, HTTPError) as error:
        reason = silence or _first_line(error)
        raise UserError(
            f"{key}={path}: there is no such folder here, and the hub did not give it ({reason}). Either give a hub "
            f"name while the hub can be reached, or a local folder: `hf download {path} --local-dir FOLDER` on a "
            f"machine with a connection, then {key}=FOLDER. model.weights=random needs neither"
        ) from error


def bring(model: Mapping[str, Any]) -> None:
    """What a model's configuration names, brought here before torch is imported: what is missing is said at once."""
    init, shapes = model.get("init"), model.get("device") == "meta"
    if init == "backbones":
        for key in ("vision", "language"):
            fetched(model[key], f"model.{key}", weights=not shapes)
    elif model.get("weights") == "pretrained" and init is None and not shapes:
        fetched(model["path"])
    elif model.get("path"):
        at_hand(model["path"])
    if model.get("tokenizer"):
        fetched(model["tokenizer"], "model.tokenizer", weights=False)


def at_hand(path: str, key: str = "model.path") -> Path | None:
    """The folder behind a path without asking the network: on disk, or in the hub's cache, or not at all."""
    if Path(path).expanduser().exists():
        return model_folder(path)
    if not _is_hub_name(path):
        raise UserError(f"{key}: there is no folder {path}, and it is no hub name (OWNER/NAME) either")
    try:
        return Path(snapshot_download(path, allow_patterns=SETTINGS, local_files_only=True))
    except OSError:
        return None


def _words_alone(folder: Path) -> bool:
    """A tokenizer's folder without any model in it."""
    return {path.name for path in folder.glob("*config.json")} == {"tokenizer_config.json"}


def check_push(name: str) -> None:
    """Whether a model could be pushed there at all: asked before it is written."""
    if not _is_hub_name(name):
        raise UserError(f"--push {name}: that is no hub name, OWNER/NAME")
    if get_token() is None:
        raise UserError("--push needs a token of the hub that may write: set HF_TOKEN in the environment")
    try:
        HfApi().whoami()
    except (OSError, HTTPError, OfflineModeIsEnabled) as error:
        raise UserError(
            f"--push {name}: the hub did not take the token, or cannot be reached ({_first_line(error)})"
        ) from error


def push(folder: Path, name: str, public: bool) -> str:
    """The address of what was pushed. A new repository is private unless it is to be public; an old one stays."""
    hub = HfApi()
    try:
        hub.create_repo(name, private=not public, exist_ok=True)
        hub.upload_folder(repo_id=name, folder_path=folder, commit_message="Model exported by prospect")
    except (OSError, HTTPError) as error:
        raise UserError(
            f"--push {name}: the hub did not take it ({_first_line(error)}); it lies in {folder}"
        ) from error
    return f"{hub.endpoint}/{name}"


def _silence(name: str) -> str | None:
    """Why the hub cannot be asked about this name now; None when it answers."""
    try:
        HfApi().model_info(name, timeout=ANSWER_SECONDS)
    except OfflineModeIsEnabled:
        return "HF_HUB_OFFLINE is set, and it is not in the cache"
    except (OSError, HTTPError) as error:
        return _first_line(error)
    return None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def _is_hub_name(path: str) -> bool:
    return re.fullmatch(r"[\w.-]+/[\w.-]+", path) is not None
