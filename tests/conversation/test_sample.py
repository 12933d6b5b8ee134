from __future__ import annotations

import io

import pytest
from PIL import Image

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.errors import UserError


def test_a_blank_picture_keeps_its_size_and_nothing_else(tmp_path):
    path = tmp_path / "a.png"
    Image.linear_gradient("L").resize((30, 20)).save(path)
    seen, blank = Picture(path).open(), Picture(path, blank=True).open()
    assert seen.mode == blank.mode == "RGB"
    assert seen.size == blank.size == Picture(path).size() == (30, 20)
    assert len(set(blank.get_flattened_data())) == 1
    assert set(blank.get_flattened_data()) != {(127, 127, 127), (128, 128, 128)}  # a mid-grey one would be dropped
    assert len(set(seen.get_flattened_data())) > 1


def test_sources_are_equal(tmp_path, picture):
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    opened = [Picture(source).open().tobytes() for source in (picture, buffer.getvalue(), tmp_path / "a.png")]
    assert opened[0] == opened[1] == opened[2]


def test_a_missing_and_a_truncated_file_are_named(tmp_path, picture):
    with pytest.raises(UserError, match=r"gone\.png"):
        Picture(tmp_path / "gone.png").size()
    buffer = io.BytesIO()
    picture.resize((400, 400)).save(buffer, "PNG")
    (tmp_path / "cut.png").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    with pytest.raises(UserError, match=r"cut\.png is damaged"):
        Picture(tmp_path / "cut.png").open()
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(UserError, match=r"text\.png cannot be read"):
        Picture(tmp_path / "text.png").open()


def test_a_sample_collects_text_and_pictures(picture):
    one, two = Picture(picture), Picture(picture, blank=True)
    turn = Turn("user", (one, "a", two, "b"))
    assert turn.text == "ab"
    assert turn.pictures == (one, two)
    assert Sample("x", (turn, Turn("assistant", ("c",)))).pictures == (one, two)
    assert one.name == "(in memory)"
