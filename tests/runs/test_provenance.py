"""Where a run comes from: right where it can be known, None where it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prospect.runs import provenance


def run(folder: Path, *arguments: str) -> str:
    names = ["-c", "user.name=x", "-c", "user.email=x@y"]
    done = subprocess.run(["git", "-C", str(folder), *names, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "src").mkdir(parents=True)
    run(folder, "init", "-b", "trunk")
    (folder / "a.txt").write_text("one\ntwo\n")
    (folder / "src" / "b.txt").write_text("b\n")
    (folder / ".gitignore").write_text("outputs\n")
    run(folder, "add", ".")
    run(folder, "commit", "-m", "first")
    return folder


def test_a_clean_repository(repository):
    commit = run(repository, "rev-parse", "HEAD")
    assert provenance.git(repository / "src") == {"commit": commit, "branch": "trunk", "dirty": False, "untracked": 0}
    assert provenance.diff(repository / "src") == ""


def test_the_diff_restores_the_working_tree(repository, tmp_path):
    (repository / "a.txt").write_bytes("one\nzwei\nGrün\n".encode("latin-1"))  # not UTF-8
    (repository / "src" / "neu ü.py").write_text("new")
    (repository / "outputs").write_text("ignored")
    found = provenance.git(repository / "src")
    assert found is not None
    assert found["dirty"]
    assert found["untracked"] == 1
    patch = tmp_path / "git.diff"
    patch.write_bytes(provenance.diff(repository / "src").encode("utf-8", "surrogateescape"))
    assert b"# untracked: src/neu \xc3\xbc.py\n" in patch.read_bytes()
    assert b"ignored" not in patch.read_bytes()
    copy = tmp_path / "copy"
    run(tmp_path, "clone", "-q", str(repository), str(copy))
    run(copy, "apply", str(patch))
    assert (copy / "a.txt").read_bytes() == (repository / "a.txt").read_bytes()


def test_a_huge_diff_is_cut_at_a_line_and_says_so(repository):
    (repository / "a.txt").write_text("".join(f"line {n}\n" for n in range(50_000)))
    cut = provenance.diff(repository, limit=10_000)
    assert len(cut) < 10_200
    assert cut.endswith("# cut: this diff is longer than 10,000 bytes; the rest is missing\n")
    assert all(line.startswith("+line ") for line in cut.splitlines()[20:-1])


def test_names_of_untracked_files_are_capped(repository, monkeypatch):
    monkeypatch.setattr(provenance, "UNTRACKED_LIMIT", 3)
    for n in range(5):
        (repository / f"new{n}").touch()
    assert provenance.diff(repository).splitlines()[-2:] == ["# untracked: new2", "# untracked: and 2 more"]


def test_a_repository_without_a_commit_and_a_detached_head(repository, tmp_path):
    run(tmp_path, "init", "-b", "trunk", "empty")
    assert provenance.git(tmp_path / "empty") == {"commit": None, "branch": "trunk", "dirty": False, "untracked": 0}
    run(repository, "checkout", "-q", "--detach")
    found = provenance.git(repository)
    assert found is not None
    assert found["commit"]
    assert found["branch"] is None


def test_no_repository_and_no_git(tmp_path, monkeypatch, repository):
    assert provenance.git(tmp_path) is None
    assert provenance.diff(tmp_path) == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.git(repository) is None
    assert provenance.diff(repository) == ""
    assert provenance.gpus() == []


def test_inside_a_git_hook_it_is_still_the_folders_own_repository(repository, tmp_path, monkeypatch):
    run(tmp_path, "init", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    found = provenance.git(repository)
    assert found is not None
    assert found["commit"]


def test_gpus_as_the_driver_lists_them(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H200, 143771 MiB, 570.1'\necho 'NVIDIA H200, 143771 MiB, 570.1'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert provenance.gpus() == [{"name": "NVIDIA H200", "memory": "143771 MiB", "driver": "570.1"}] * 2
    tool.write_text("#!/bin/sh\necho 'No devices were found'\nexit 6\n")
    assert provenance.gpus() == []


def test_versions_come_without_an_import():
    code = (
        "import sys; from prospect.runs import provenance as p; v = p.versions(); p.hardware();"
        "assert v['torch'] and v['python']; assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


def test_hardware():
    found = provenance.hardware()
    assert found["cpu"]
    assert 1 <= found["usable_cores"] <= found["cores"]
    assert found["memory_gb"] > 0.1


def test_hashes_of_files_and_folders(tmp_path):
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "x").write_bytes(b"abc")
    (tmp_path / "y").write_bytes(b"")
    known = {
        str(tmp_path / "d" / "e" / "x"): "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        str(tmp_path / "y"): "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
    assert provenance.hash_files([tmp_path / "y", tmp_path / "d"]) == known


def test_a_process_is_told_from_the_next_one_with_its_pid():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    born = provenance.birth(child.pid)
    assert born
    assert born == provenance.birth(child.pid)
    assert born != provenance.birth(1)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet collected: a zombie
    assert provenance.birth(child.pid) is None
    child.communicate()
    assert provenance.birth(child.pid) is None


def test_a_name_with_brackets_does_not_shift_the_fields(tmp_path):
    tool = tmp_path / "a) R 1 (b"
    shutil.copy(shutil.which("sleep") or "", tool)
    child = subprocess.Popen([tool, "60"])
    try:
        born = provenance.birth(child.pid)
        assert born
        assert born.isdigit()
        assert int(born) >= int(provenance.birth(os.getpid()) or "")
    finally:
        child.kill()
        child.wait()
