"""Both published shapes become the same samples; options do what they say; errors name file and line."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prospect.conversation.sample import BLANK_GREY
from prospect.data.element.dataset import QUESTION, element
from prospect.data.element.rows import Fault, image_key, locate, without_marker
from prospect.data.labels import label_of
from prospect.errors import UserError


def texts(sample):
    return [(turn.role, turn.text) for turn in sample.turns]


def test_rich_rows(filled):
    data = element(str(filled.path))
    first = data.splits["train"][0]
    assert texts(first) == [("user", QUESTION), ("assistant", "water")]
    assert first.turns[0].parts[0].size() == (24, 24)  # the picture comes first
    assert first.id == "train_0"
    assert first.meta["label"] == "water"
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 5, "val": 5, "test": 5}
    assert data.labels == ("water", "land", "fire", "wood", "metal")
    assert not [finding for finding in data.findings if finding.severity == "error"]


@pytest.mark.parametrize("keys", [("from", "value"), ("role", "content")])
def test_chat_rows_keep_their_own_question(filled, rows, keys):
    path = str(filled.image("x", 50))
    filled.lines("test.jsonl", [rows.chat(path, "This is fire.", "<image>\nWhat is it?\nTell me.", keys)])
    (sample,) = element(str(filled.path)).splits["test"]
    assert texts(sample) == [("user", "What is it?\nTell me."), ("assistant", "fire")]
    assert len(sample.pictures) == 1


def test_chat_content_as_parts_is_the_same_as_a_string(filled, rows):
    row = rows.chat(str(filled.image("x", 50)), "fire", keys=("role", "content"))
    row["conversations"][0]["content"] = [{"type": "image"}, {"type": "text", "text": "Which element?"}]
    filled.lines("test.jsonl", [row])
    (sample,) = element(str(filled.path)).splits["test"]
    assert texts(sample) == [("user", "Which element?"), ("assistant", "fire")]


def test_a_system_turn_stays(filled, rows):
    row = rows.chat(str(filled.image("x", 50)), "fire")
    row["conversations"].insert(0, {"from": "system", "value": "Be brief."})
    filled.lines("test.jsonl", [row])
    (sample,) = element(str(filled.path)).splits["test"]
    assert texts(sample)[0] == ("system", "Be brief.")


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("<image>\nWhat?", "What?"),
        ("<image>What?", "What?"),
        ("What?\n<image>", "What?"),
        ("What?", "What?"),
        ("  What? ", "  What? "),
        ("<image>\nWhat does <image> mean?", "What does <image> mean?"),
        ("Does <image> work?", "Does <image> work?"),
    ],
)
def test_only_the_placeholder_goes(written, kept):
    assert without_marker(written) == kept


def test_several_placeholders_for_one_picture_are_a_fault():
    with pytest.raises(Fault, match="one image"):
        without_marker("<image>\n<image>\nCompare.")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=30).filter(lambda t: "<image>" not in t))
def test_the_user_s_words_survive(question):
    assert without_marker(f"<image>\n{question}") == question.lstrip()


@pytest.mark.parametrize(
    ("style", "base"),
    [("images/a.png", "folder"), ("dataset/images/a.png", "parent"), ("{folder}/images/a.png", "absolute"),
     ("/elsewhere/old/images/a.png", "moved"), ("old/images/a.png", "moved"), ("nowhere/a.png", "")],
)  # fmt: skip
def test_path_styles(folder, style, base):
    file = folder.image("a", 1)
    found, start = locate(style.format(folder=folder.path), folder.path)
    assert start == base
    assert (found == file) == bool(base)


def test_an_id_does_not_depend_on_the_path_style():
    styles = ["images/fire/a.png", "dataset/images/fire/a.png", "/home/x/dataset/images/fire/a.jpg"]
    assert {image_key(style) for style in styles} == {"fire/a"}


def test_without_held_out_files_the_split_is_drawn_by_image_id(folder, rows):
    lines = folder.sound("x", 0, 60)
    again = [row | {"image_path": f"dataset/{row['image_path']}"} for row in lines]  # every picture twice
    folder.lines("all.jsonl", lines + again)
    data = element(str(folder.path), val_share=0.3, test_share=0.2)
    ids = {name: {sample.meta["image_id"] for sample in split} for name, split in data.splits.items()}
    assert all(ids.values())
    assert not ids["train"] & ids["val"]
    assert not ids["train"] & ids["test"]
    assert not ids["val"] & ids["test"]
    assert len({sample.id for split in data.splits.values() for sample in split}) == 120  # ids are unique
    folder.lines("all.jsonl", [*folder.sound("x", 0, 75), *again])  # more data moves nothing
    more = element(str(folder.path), val_share=0.3, test_share=0.2)
    for name in ids:
        assert ids[name] <= {sample.meta["image_id"] for sample in more.splits[name]}


def test_a_lone_train_file_is_split_and_validation_is_an_alias(filled):
    (filled.path / "test.jsonl").unlink()
    (filled.path / "val.jsonl").rename(filled.path / "validation.jsonl")
    data = element(str(filled.path))
    assert [len(data.splits[name]) for name in ("train", "val", "test")] == [5, 5, 0]
    assert any(finding.kind == "empty-split" and finding.split == "test" for finding in data.findings)
    (filled.path / "validation.jsonl").unlink()
    filled.lines("train.jsonl", filled.sound("train", 0, 40))
    data = element(str(filled.path), val_share=0.3, test_share=0.3)
    assert all(data.splits.values())


def test_context_puts_the_reason_before_the_question(filled, rows):
    filled.image("c", 60)
    filled.lines("test.jsonl", [rows.rich("c", "fire", "Flames rise")])
    (plain,) = element(str(filled.path)).splits["test"]
    (told,) = element(str(filled.path), context=True, question="Which?").splits["test"]
    assert plain.turns[0].text == QUESTION
    assert told.turns[0].text == "Context: Flames rise\n\nWhich?"


@pytest.mark.parametrize("reason", ["Flames over water", "fire: Flames", "Fire.", "", "fire and wood"])
def test_descriptive_answers_can_be_read_back(filled, rows, reason):
    filled.image("c", 60)
    filled.lines("test.jsonl", [rows.rich("c", "fire", reason)])
    (sample,) = element(str(filled.path), answers="descriptive").splits["test"]
    assert label_of(sample.turns[-1].text, ("water", "land", "fire", "wood", "metal")) == "fire"
    assert sample.turns[-1].text.casefold().count("fire:") <= 1
    if reason == "Flames over water":
        assert sample.turns[-1].text == "fire: Flames over water"


def test_blank_images_are_the_same_samples_with_grey_pictures(filled):
    seen, blank = element(str(filled.path)), element(str(filled.path), blank_images=True)
    assert [texts(sample) for sample in seen.splits["train"]] == [texts(sample) for sample in blank.splits["train"]]
    assert blank.splits["train"][2].pictures[0].open().getextrema() == ((BLANK_GREY, BLANK_GREY),) * 3
    assert blank.fingerprint != seen.fingerprint


def test_the_fingerprint_is_the_same_in_another_place(filled, tmp_path):
    shutil.copytree(filled.path, tmp_path / "copy")
    assert element(str(tmp_path / "copy")).fingerprint == element(str(filled.path)).fingerprint
    filled.image("train_0", 999)
    assert element(str(tmp_path / "copy")).fingerprint != element(str(filled.path)).fingerprint


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{not json", "train.jsonl:6: not a JSON object"),
        ("[1, 2]", "train.jsonl:6: is a list"),
        ('{"img": "a.png", "class": "fire"}', "has the keys ['class', 'img']; accepted are {image_id, image_path, el"),
        ('{"image_path": "images/train_0.png", "element": "fier"}', "'fier', not one of .*did you mean 'fire'"),
        ('{"image_path": "images/train_0.png", "element": 3}', "element must be a text"),
        ('{"image": "images/train_0.png", "conversations": "fire"}', r"conversations go \[\]"),
        ('{"image": "a", "conversations": [{"from": "bot", "value": "x"}]}', "unknown role 'bot'"),
        ('{"image": "a", "conversations": [{"from": "human", "value": 3}]}', "must be a text, not 3"),
        ('{"image_path": "data:image/png;base64,' + "A" * 5000 + '", "element": "fire"}', "there is no picture"),
    ],
)
def test_bad_lines_are_named_and_skipped_on_request(filled, line, told):
    good = (filled.path / "train.jsonl").read_text()
    (filled.path / "train.jsonl").write_text(good + line + "\n")
    pattern = told if ".*" in told or "\\" in told else None
    with pytest.raises(UserError, match=pattern) as error:
        element(str(filled.path))
    assert "train.jsonl:6:" in str(error.value)
    assert "1 errors" in str(error.value)
    assert pattern or told in str(error.value)
    data = element(str(filled.path), on_bad="skip")
    assert len(data.splits["train"]) == 5
    assert [finding.severity for finding in data.findings if "train.jsonl:6" in finding.message] == ["error"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["image", "image_path", "element", "conversations", "from", "value", "role"]),
                        inner, max_size=4)))  # fmt: skip
def test_no_line_whatever_escapes_as_a_traceback(filled, value):
    filled.lines("val.jsonl", [json.dumps(value)])
    data = element(str(filled.path), on_bad="skip")
    assert data.splits["val"] == []
    assert any(finding.severity == "error" for finding in data.findings)


def test_bytes_that_are_no_text_are_a_bad_line(filled):
    (filled.path / "val.jsonl").write_bytes(b"\xff\xfe{}\n")
    with pytest.raises(UserError, match=r"val.jsonl:1: not a JSON object"):
        element(str(filled.path))


def test_a_byte_order_mark_and_windows_line_ends_are_read(filled):
    raw = (filled.path / "val.jsonl").read_bytes()
    (filled.path / "val.jsonl").write_bytes(b"\xef\xbb\xbf" + raw.replace(b"\n", b"\r\n"))
    assert len(element(str(filled.path)).splits["val"]) == 5


def test_folders_that_cannot_be_read(tmp_path, filled):
    with pytest.raises(UserError, match="no such folder"):
        element(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no JSON lines"):
        element(str(tmp_path / "empty"))
    (tmp_path / "empty" / "train.json").write_text("[]")
    with pytest.raises(UserError, match=r"train\.json is not one"):
        element(str(tmp_path / "empty"))
    (filled.path / "validation.jsonl").write_text("")
    with pytest.raises(UserError, match="name the same split"):
        element(str(filled.path))


def test_files_left_unread_are_said(filled):
    filled.lines("old.jsonl", [{"any": "thing"}])
    (finding,) = [f for f in element(str(filled.path)).findings if f.kind == "unread-file"]
    assert "old.jsonl" in finding.message


def test_nothing_usable_is_an_error_even_when_skipping(folder):
    folder.lines("train.jsonl", ["nonsense"] * 9)
    with pytest.raises(UserError, match="not one row") as error:
        element(str(folder.path), on_bad="skip")
    assert "bad-json: 9" in str(error.value)
    assert "and 4 more" in str(error.value)
