"""Claims: a checkpoint is complete or not there; damage of any kind is seen; the newest sound one is resumed from."""

from __future__ import annotations

import json
import shutil

import pytest

from prospect.errors import UserError
from prospect.models import sealed
from prospect.training import checkpoints


def save(run, step, content=b"weights" * 100, best=None, limit=None):
    folder = checkpoints.begin(run, step)
    (folder / "model.safetensors").write_bytes(content)
    (folder / "config.json").write_text("{}")
    (folder / "identity.json").write_text(json.dumps({"seed": 0, "data": "abc"}))
    checkpoints.finish(run, step, best, limit)
    return checkpoints.final(run, step)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


DAMAGE = {
    "flipped bit": lambda folder: flip(folder / "model.safetensors"),
    "cut file": lambda folder: (folder / "model.safetensors").write_bytes(b"weights"),
    "empty file": lambda folder: (folder / "config.json").write_text(""),
    "missing file": lambda folder: (folder / "model.safetensors").unlink(),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "broken manifest": lambda folder: (folder / "manifest.json").write_text('{"files": {'),
    "manifest of another shape": lambda folder: (folder / "manifest.json").write_text("[]"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_seen_and_passed_over(tmp_path, damage):
    older, newer = save(tmp_path, 10), save(tmp_path, 20)
    assert sealed.newest(tmp_path) == (newer, [])
    damage(newer)
    said: list[str] = []
    assert checkpoints.to_resume(tmp_path, said.append) == older
    assert len(said) == 1
    assert "step-20" in said[0]


def test_a_save_that_was_killed_is_never_picked(tmp_path):
    sound = save(tmp_path, 10)
    half = checkpoints.begin(tmp_path, 20)
    (half / "model.safetensors").write_bytes(b"we")
    assert sealed.newest(tmp_path)[0] == sound
    assert save(tmp_path, 20) == sealed.newest(tmp_path)[0]  # the next save clears the left-overs


def test_nothing_sound_is_said(tmp_path):
    assert sealed.newest(tmp_path) == (None, [])
    flip(save(tmp_path, 10) / "model.safetensors")
    with pytest.raises(UserError, match=r"no complete checkpoint(.|\n)*step-10"):
        sealed.model_folder(tmp_path)


def test_old_checkpoints_go_and_the_best_stays(tmp_path):
    for step in (10, 20, 30, 40):
        save(tmp_path, step, best=10, limit=2)
    assert [folder.name for folder in sealed.checkpoints(tmp_path)] == ["step-40", "step-10"]
    assert sealed.model_folder(tmp_path).name == "step-10"
    shutil.rmtree(tmp_path / "checkpoints" / "step-10")
    assert sealed.model_folder(tmp_path).name == "step-40"


def test_steps_are_ordered_as_numbers(tmp_path):
    for step in (100, 9, 20):
        save(tmp_path, step, limit=2)
    assert [folder.name for folder in sealed.checkpoints(tmp_path)] == ["step-100", "step-20"]


def test_another_identity_is_refused(tmp_path):
    folder = save(tmp_path, 10)
    checkpoints.check_identity(folder, {"seed": 0, "data": "abc"})
    with pytest.raises(UserError, match="data: was 'abc', is 'xyz'"):
        checkpoints.check_identity(folder, {"seed": 0, "data": "xyz"})


def test_folders_that_hold_no_model_are_named(tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        sealed.model_folder(tmp_path / "gone")
    with pytest.raises(UserError, match="no model folder"):
        sealed.model_folder(tmp_path)
