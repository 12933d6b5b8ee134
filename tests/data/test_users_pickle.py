"""Pickles of users become JSON lines; whatever else a pickle asks for is refused before it is looked up."""

from __future__ import annotations

import collections
import io
import json
import pickle
from pathlib import Path, PurePosixPath

import pytest
from PIL import Image

from prospect.data.users.dataset import users
from prospect.data.users.pickles import convert, main, read
from prospect.errors import UserError


class Evil:
    """Runs a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def picture(shade: int, mode: str = "RGB") -> Image.Image:
    return Image.new("RGB", (6, 4), (shade, 10, 200)).convert(mode)


def opened(shade: int) -> Image.Image:
    """As one that was read from a file: another class of Pillow's."""
    file = io.BytesIO()
    picture(shade).save(file, "PNG")
    image = Image.open(file)
    image.load()
    return image


def row(shade: int, image, answer: str = "(1, 2)") -> dict:
    asked = [{"type": "image", "image": image}, {"type": "text", "text": f"Where, at {shade}?"}]
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "held", [list, lambda rows: {"samples": rows}, lambda rows: collections.OrderedDict(data=rows)]
)
def test_what_was_pickled_can_be_read(tmp_path, protocol, held):
    rows = [row(1, picture(1)), row(2, opened(2)), row(3, picture(3, "P"))]
    (tmp_path / "user_11.pkl").write_bytes(pickle.dumps(held(rows), protocol))
    assert convert(tmp_path, tmp_path / "out") == 1
    data = users(str(tmp_path / "out"), users=11)
    assert [sample.turns[-1].text for sample in data.splits["train"]] == ["(1, 2)"] * 3
    seen = [sample.pictures[0].open().tobytes() for sample in data.splits["train"]]
    assert seen[:2] == [picture(1).tobytes(), picture(2).tobytes()]
    assert seen[2] == picture(3, "P").convert("RGB").tobytes()


def test_paths_and_bytes(tmp_path):
    file = io.BytesIO()
    picture(9).save(file, "PNG")
    rows = [row(1, {"bytes": file.getvalue(), "path": None}) | {"file": PurePosixPath("a/b")}]
    (tmp_path / "7.pickle").write_bytes(pickle.dumps(rows))
    convert(tmp_path, tmp_path / "out")
    (line,) = (tmp_path / "out" / "user_7.jsonl").read_text().splitlines()
    assert json.loads(line)["file"] == "a/b"
    assert users(str(tmp_path / "out"), users=7).splits["test"][0].pictures[0].open().tobytes() == picture(9).tobytes()


DANGEROUS = [
    pickle.dumps([Evil(Path.touch, Path("ran"))]),
    pickle.dumps([Evil(eval, "open('ran', 'w')")]),
    pickle.dumps([Evil(getattr, [], "append")]),
    pickle.dumps([len]),
    b"cos\nsystem\n(S'touch ran'\ntR.",
    b'cbuiltins\nexec\n(S\'open("ran","w")\'\ntR.',
    b"(ios\nsystem\nS'touch ran'\no.",
    b"(S'touch ran'\nios\nsystem\n.",
    b"\x80\x02Pmine\n.",  # a persistent id
    b"\x80\x04\x8c\x0bcollections\x8c\x10OrderedDict.fkeys\x93.",  # a dotted name below an allowed one
    b"cpathlib\nPath.touch\n(S'ran'\ntR.",
    b"cPIL.Image\nopen\n(S'ran'\ntR.",
    b"cprospect.data.users.pickles\nmain\n(tR.",
]


@pytest.mark.parametrize("content", DANGEROUS)
def test_nothing_of_a_pickle_is_run(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "user_1.pkl").write_bytes(content)
    with pytest.raises(UserError, match=r"user_1\.pkl is not read"):
        convert(tmp_path, tmp_path / "out")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["user_1.pkl"]


def test_an_allowed_name_is_answered_by_a_stand_in(tmp_path):
    (tmp_path / "user_1.pkl").write_bytes(pickle.dumps([Path("/a/b"), picture(1)]))
    path, image = read(tmp_path / "user_1.pkl")
    assert path == "/a/b"
    assert type(image).__module__ == "prospect.data.users.pickles"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps("words"), "no list of rows"),
        (pickle.dumps({"rows": 3}), "no list of rows"),
        (pickle.dumps([{"messages": 1j}]), "is not read"),
        (pickle.dumps([row(1, b"not a picture")]), "no picture"),
        (pickle.dumps([{1, 2}]), "holds a set"),
        (pickle.dumps([row(1, "x")])[:-20], "is not read"),
        (b"", "is not read"),
        (b"\x80\x04]\x94h\x00a.", "nested"),  # a list that holds itself
    ],
)
def test_what_is_no_data(tmp_path, content, words):
    (tmp_path / "user_1.pkl").write_bytes(content)
    with pytest.raises(UserError, match=words):
        convert(tmp_path, tmp_path / "out")


def test_the_command(tmp_path, capsys):
    (tmp_path / "user_1.pkl").write_bytes(pickle.dumps([row(1, picture(1))]))
    assert main([str(tmp_path), str(tmp_path / "out")]) == 0
    assert "1 users" in capsys.readouterr().out
    assert main([str(tmp_path), str(tmp_path / "out")]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main([str(tmp_path / "nowhere"), str(tmp_path / "other")]) == 2
