"""Where a run comes from: the code's commit, the versions, the machine, the data. What cannot be known is None."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import platform
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prospect import __version__

log = logging.getLogger(__name__)

CODE = Path(__file__).parent  # the repository of this code, wherever the run was started from
DIFF_LIMIT = 1 << 20  # bytes; a diff larger than this is a data file that somebody tracked
UNTRACKED_LIMIT = 500
PACKAGES = (
    *("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "safetensors"),
    *("hydra-core", "omegaconf", "numpy", "pillow", "torchvision", "bitsandbytes", "flash-attn", "vllm"),
)


def git(folder: Path = CODE) -> dict[str, Any] | None:
    """{commit, branch, dirty, untracked} of the repository around a folder. None without git or without a repository;
    the branch is None on a detached head, the commit in a repository that has none yet."""
    status = _git(folder, "status", "--porcelain", "--untracked-files=all")
    if status is None:
        return None
    return {
        "commit": _line(_git(folder, "rev-parse", "--verify", "--quiet", "HEAD")),
        "branch": _line(_git(folder, "symbolic-ref", "--short", "--quiet", "HEAD")),
        "dirty": bool(status),
        "untracked": sum(line.startswith(b"?? ") for line in status.splitlines()),
    }


def diff(folder: Path = CODE, limit: int = DIFF_LIMIT) -> str:
    """Everything that differs from the commit, for `git apply` at the root of the repository. Untracked files are named
    in lines that `git apply` skips; their content is not kept."""
    root = _line(_git(folder, "rev-parse", "--show-toplevel"))
    if root is None:
        return ""
    untracked = _decoded(_git(Path(root), "ls-files", "--others", "--exclude-standard") or b"").splitlines()
    names = "".join(f"# untracked: {name}\n" for name in untracked[:UNTRACKED_LIMIT])
    if len(untracked) > UNTRACKED_LIMIT:
        names += f"# untracked: and {len(untracked) - UNTRACKED_LIMIT} more\n"
    return names + _capped(_changes(Path(root), limit + 1), limit)


def _changes(root: Path, limit: int) -> bytes:
    """At most `limit` bytes: a huge tracked file is never read to its end."""
    command = [*_command(root), "diff", "HEAD", "--no-color", "--no-ext-diff", "--no-textconv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()) as process:
        assert process.stdout is not None
        changes = process.stdout.read(limit)
        process.kill()
    return changes


def _capped(changes: bytes, limit: int) -> str:
    if len(changes) <= limit:
        return _decoded(changes)
    whole_lines = changes[:limit].rpartition(b"\n")[0]
    return _decoded(whole_lines) + f"\n# cut: this diff is longer than {limit:,} bytes; the rest is missing\n"


def versions() -> dict[str, str]:
    """Read from the packages' metadata: nothing is imported."""
    found = {"prospect": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "cpu": _field(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpus": gpus(),
        "visible_gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }


def gpus() -> list[dict[str, str]]:
    """From the driver's own tool: importing torch to ask would cost seconds and reserve memory."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    answer = _output(query, os.environ)
    rows = [line.split(", ") for line in _decoded(answer or b"").splitlines()]
    return [dict(zip(("name", "memory", "driver"), row, strict=True)) for row in rows if len(row) == 3]


def hash_files(paths: Iterable[Path]) -> dict[str, str]:
    """sha256 of every file, by path, sorted; a folder stands for all files in it."""
    files = {file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]) if not file.is_dir()}
    return {str(file): _sha256(file) for file in sorted(files)}


def process() -> dict[str, Any]:
    """This process, such that nobody else is ever taken for it: a pid alone is given again to another one."""
    pid = os.getpid()
    return {"host": socket.gethostname(), "space": _space(), "pid": pid, "born": birth(pid), "parent": os.getppid()}


def here(owner: dict[str, Any]) -> bool:
    """Whether the process could be seen from here: same host, same boot, same container."""
    return bool(owner["host"] == socket.gethostname() and owner["space"] == _space())


def birth(pid: int) -> str | None:
    """When a process started, in its system's own words; None when there is no such process (a zombie is none)."""
    if not Path("/proc/self/stat").exists():  # macOS
        started = _output(["ps", "-o", "lstart=", "-p", str(pid)], os.environ)
        return _decoded(started).strip() or None if started else None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()  # the name before may hold blanks and brackets
    return None if state in "ZX" else fields[18]  # field 22 of the whole line: start time in ticks since boot


def _space() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id")
    pids = Path("/proc/self/ns/pid")
    return f"{boot.read_text().strip()} {pids.readlink()}" if boot.exists() and pids.is_symlink() else ""


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _field(file: Path, name: str) -> str | None:
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)


def _git(folder: Path, *arguments: str) -> bytes | None:
    return _output([*_command(folder), *arguments], _environment())


def _command(folder: Path) -> list[str]:
    return ["git", "-C", str(folder), "-c", "core.quotepath=off"]


def _environment() -> dict[str, str]:
    """No lock on the index (many runs start at once), and the folder's own repository: hooks set GIT_DIR."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**outside, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


def _output(command: list[str], environment: Any) -> bytes | None:
    """What a command prints; None where it is not installed, fails or hangs (a dead driver does), said in the log."""
    try:
        done = subprocess.run(command, capture_output=True, env=environment, timeout=30, check=False)
    except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired) as error:
        log.debug("%s: %s", command[0], error)
        return None
    if done.returncode:
        log.debug("%s: %s", " ".join(command), _decoded(done.stderr).strip())
        return None
    return done.stdout


def _line(output: bytes | None) -> str | None:
    return _decoded(output).strip() or None if output else None


def _decoded(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape")
