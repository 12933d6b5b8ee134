"""The drawn pictures are the same everywhere, different from each other, and told apart by more than a mean colour."""

from __future__ import annotations

import hashlib
import io
from random import Random

import pytest
from PIL import Image

from prospect.data.element.demo import element_demo
from prospect.data.element.palettes import PALETTES
from prospect.data.element.pictures import picture
from prospect.data.element.rows import ELEMENTS
from prospect.data.png import png
from prospect.errors import UserError

SMALL = {"train": 20, "val": 5, "test": 5}


def test_it_is_element_data_of_the_sizes_asked_for():
    data = element_demo(**SMALL)
    assert data.name == "element_demo"
    assert {name: len(split) for name, split in data.splits.items()} == SMALL
    assert data.counts("train") == dict.fromkeys(ELEMENTS, 4)
    assert [finding for finding in data.findings if finding.severity == "error"] == []


def test_every_machine_draws_the_same(tmp_path):
    """A changed figure means a changed generator: raise GENERATOR, or old caches would be taken for new data."""
    data = element_demo(**SMALL)
    assert data.fingerprint == element_demo(folder=str(tmp_path / "again"), **SMALL).fingerprint
    pixels = b"".join(sample.pictures[0].open().tobytes() for sample in data.splits["train"])
    assert hashlib.sha256(pixels).hexdigest()[:16] == "e9c401ae2d20c576"
    assert data.fingerprint[:16] == "96b6cec3cae5b888"


@pytest.mark.parametrize("change", [{"seed": 1}, {"palette": "shifted"}, {"size": 48}, {"train": 15}])
def test_other_settings_give_other_data(change):
    assert element_demo(**SMALL | change).fingerprint != element_demo(**SMALL).fingerprint


def test_a_longer_split_begins_with_the_shorter_one():
    short, long = element_demo(**SMALL), element_demo(**SMALL | {"train": 30})
    for one, other in zip(short.splits["train"], long.splits["train"], strict=False):
        assert one.pictures[0].open().tobytes() == other.pictures[0].open().tobytes()


def test_reasons_leak_as_published_ones_do_so_context_is_refused():
    data = element_demo(train=200, val=5, test=5)
    (finding,) = [finding for finding in data.findings if finding.kind == "leaky-reasons"]
    share = int(finding.message.split("(")[1].split("%")[0])
    assert 80 <= share <= 97
    with pytest.raises(UserError, match="label-in-prompt"):
        element_demo(train=200, val=5, test=5, context=True)
    kept = element_demo(train=200, val=5, test=5, context=True, on_bad="skip").splits["train"]
    assert 5 <= len(kept) <= 40
    assert all("Context: " in sample.turns[0].text for sample in kept)


def test_a_folder_of_one_s_own_is_respected(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="was not made here"):
        element_demo(folder=str(tmp_path / "mine"), **SMALL)
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(("key", "value"), [("palette", "sepia"), ("train", -1), ("size", 4)])
def test_settings_that_cannot_be_drawn(key, value):
    with pytest.raises(UserError, match=f"data.{key}={value}"):
        element_demo(**SMALL | {key: value})


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("label", ELEMENTS)
def test_every_element_can_be_drawn_at_every_size_from_every_draw(label, palette):
    for draw in range(12):
        for size in (16, 64, 100):
            assert picture(label, Random(draw), palette, size).size == (size, size)


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (200, 300)])  # the last needs several deflate blocks
def test_png_is_read_back_bit_equal(size):
    image = Image.frombytes("RGB", size, Random(0).randbytes(3 * size[0] * size[1]))
    read = Image.open(io.BytesIO(png(image)))
    assert (read.format, read.mode, read.tobytes()) == ("PNG", "RGB", image.tobytes())


def test_mean_colour_alone_does_not_tell_the_elements_apart():
    """Nearest class mean in colour space: far below what a model that looks at shapes reaches."""
    data = element_demo(train=300, val=5, test=200)

    def mean(sample):
        return sample.pictures[0].open().resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))

    seen = {
        label: [mean(sample) for sample in data.splits["train"] if sample.meta["label"] == label] for label in ELEMENTS
    }
    centres = {
        label: [sum(values) / len(values) for values in zip(*colours, strict=True)] for label, colours in seen.items()
    }

    def guess(colour):
        return min(centres, key=lambda label: sum((a - b) ** 2 for a, b in zip(colour, centres[label], strict=True)))

    hits = sum(guess(mean(sample)) == sample.meta["label"] for sample in data.splits["test"])
    assert 0.3 < hits / 200 < 0.8
