"""Every fault of the published data is found, fails the run with its place, and is left out exactly on request."""

from __future__ import annotations

import random

import pytest
from PIL import Image

from prospect.data.element.dataset import element
from prospect.errors import UserError


def kinds(data, severity="error"):
    return sorted(finding.kind for finding in data.findings if finding.severity == severity)


def ids(data, split):
    return [sample.id for sample in data.splits[split]]


def refused(filled, **options):
    with pytest.raises(UserError) as error:
        element(str(filled.path), **options)
    return str(error.value)


def test_a_missing_picture(filled):
    (filled.path / "images" / "train_3.png").unlink()
    assert "train.jsonl:4: there is no picture 'images/train_3.png'" in refused(filled)
    data = element(str(filled.path), on_bad="skip")
    assert ids(data, "train") == ["train_0", "train_1", "train_2", "train_4"]
    assert kinds(data) == ["missing-picture"]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF"])
def test_a_picture_that_was_cut_short_is_found_though_its_header_is_whole(filled, form):
    file = filled.path / "images" / "train_3.png"
    Image.frombytes("RGB", (64, 64), random.Random(0).randbytes(3 * 64 * 64)).save(file, form)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with Image.open(file) as header:
        assert header.size == (64, 64)
    assert "train.jsonl:4: 'images/train_3.png' cannot be decoded" in refused(filled)
    assert kinds(element(str(filled.path), on_bad="skip")) == ["unreadable-picture"]


def test_broken_bytes_never_escape_as_a_traceback(filled):
    rng = random.Random(1)
    file = filled.path / "images" / "train_3.png"
    whole = file.read_bytes()
    for _ in range(60):
        hurt = bytearray(whole)
        hurt[rng.randrange(len(hurt))] = rng.randrange(256)
        file.write_bytes(bytes(hurt))
        assert len(element(str(filled.path), on_bad="skip").splits["train"]) >= 4


def test_contradicting_labels_of_one_picture(filled, rows):
    lines = filled.sound("train", 0)
    filled.image("twin", 2)  # the bytes of train_2, which is fire
    filled.lines("train.jsonl", [*lines, rows.rich("twin", "wood")])
    message = refused(filled)
    assert "contradiction: 2" in message
    assert "train.jsonl:3 fire, train.jsonl:6 wood" in message
    assert ids(element(str(filled.path), on_bad="skip"), "train") == ["train_0", "train_1", "train_3", "train_4"]


def test_a_picture_twice_with_one_label_is_only_a_warning(filled, rows):
    lines = filled.sound("train", 0)
    filled.lines("train.jsonl", [*lines, lines[2]])
    data = element(str(filled.path))
    assert "duplicate" in kinds(data, "warning")
    assert ids(data, "train")[-1] == "train_2#2"


@pytest.mark.parametrize("by", ["bytes", "id"])
def test_an_overlap_drops_what_is_not_held_out(filled, rows, by):
    lines = filled.sound("train", 0)
    if by == "bytes":
        filled.image("copy", 102)  # the bytes of val_102, which is fire
        lines.append(rows.rich("copy", "fire"))
    else:
        filled.image("other", 77)
        lines.append(rows.rich("val_102", "fire") | {"image_path": "images/other.png"})
    filled.lines("train.jsonl", lines)
    assert "train.jsonl:6: the picture" in refused(filled)
    data = element(str(filled.path), on_bad="skip")
    assert kinds(data) == ["overlap"]
    assert (len(data.splits["train"]), len(data.splits["val"]), len(data.splits["test"])) == (5, 5, 5)


def test_validation_and_test_may_not_overlap_either(filled, rows):
    lines = filled.sound("val", 100)
    filled.lines("val.jsonl", [*lines, filled.sound("test", 200)[1]])
    assert "of val is also in test: test.jsonl:2" in refused(filled)


def test_reasons_that_name_the_label_leak_only_into_a_prompt_with_context(filled, rows):
    lines = filled.sound("train", 0)
    for row, reason in zip(lines, ("Water runs", "Hills", "A fireplace", "Fire beside it", "Flat"), strict=True):
        row["reason"] = reason
    filled.lines("train.jsonl", lines)
    data = element(str(filled.path))
    (finding,) = [finding for finding in data.findings if finding.kind == "leaky-reasons"]
    assert "2 of 5 reasons (40%)" in finding.message
    message = refused(filled, context=True)
    assert "label-in-prompt: 2" in message
    assert "train.jsonl:1" in message
    assert "train.jsonl:3" in message
    assert "data.context=false" in message
    kept = element(str(filled.path), context=True, on_bad="skip")
    assert ids(kept, "train") == ["train_1", "train_3", "train_4"]


def test_a_question_that_lists_the_options_is_no_leak_and_a_chat_that_tells_is(filled, rows):
    question = "<image>\nOne of these: water, land, fire, wood, metal?"
    lines = [rows.chat(row["image_path"], row["element"], question) for row in filled.sound("train", 0)]
    filled.lines("train.jsonl", lines)
    assert kinds(element(str(filled.path))) == []
    told = rows.chat("images/train_2.png", "fire", question + "\nContext: a fire burns")
    filled.lines("train.jsonl", [*lines[:2], told, *lines[3:]])
    assert "train.jsonl:3: the prompt gives 'fire' away" in refused(filled)


def test_an_instruction_that_stands_under_every_label_is_no_leak(filled):
    assert kinds(element(str(filled.path), question="Is it fire? Say which element it is.")) == []


def test_mixed_shapes_and_paths_in_one_file(filled, rows):
    lines = filled.sound("train", 0)
    lines[1] = rows.chat("dataset/images/train_1.png", "land")
    filled.lines("train.jsonl", lines)
    data = element(str(filled.path))
    messages = {finding.kind: finding.message for finding in data.findings}
    assert "4 rich (train.jsonl:1" in messages["mixed-schemas"]
    assert "1 chat (train.jsonl:2" in messages["mixed-schemas"]
    assert "4 folder" in messages["mixed-paths"]
    assert "1 parent" in messages["mixed-paths"]
    assert kinds(data) == []


def test_absent_classes_are_told_with_the_counts(filled):
    filled.lines("val.jsonl", filled.sound("val", 100, 2))
    (finding,) = [f for f in element(str(filled.path)).findings if f.kind == "absent-class"]
    assert (finding.split, finding.message) == (
        "val", "val has no fire and no wood and no metal (water 1, land 1, fire 0, wood 0, metal 0)"
    )  # fmt: skip


def test_all_faults_come_in_one_message_and_skipping_leaves_exactly_the_sound_rows(filled, rows):
    """The published data in small: duplicates that contradict, an overlap, two shapes, and broken lines at once."""
    lines = filled.sound("train", 0, 20)
    filled.image("gone", 1)
    (filled.path / "images" / "gone.png").unlink()
    bad = [rows.rich("gone", "fire"), "{", rows.rich("train_0", "stone"), rows.rich("train_1", "metal")]
    bad.append(rows.chat("dataset/images/val_104.png", "metal"))
    filled.lines("train.jsonl", [*lines, *bad])
    message = refused(filled)
    for kind in ("missing-picture: 1", "bad-json: 1", "unknown-label: 1", "contradiction: 2", "overlap: 1"):
        assert kind in message
    data = element(str(filled.path), on_bad="skip")
    assert ids(data, "train") == [row["image_id"] for row in lines if row["image_id"] != "train_1"]
    assert len(data.splits["val"]) == 5
