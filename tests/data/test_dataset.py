"""The fingerprint changes with everything that a model can see or learn, and with nothing else."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from PIL import Image
from rich.console import Console

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.data.dataset import Dataset
from prospect.data.findings import Finding, findings_list, findings_table
from prospect.data.fingerprint import fingerprint


def sample(id="a", question="What?", answer="fire", label="fire", shade=3, blank=False):
    picture = Picture(Image.new("RGB", (4, 4), (shade, 0, 0)), blank)
    turns = (Turn("user", (picture, question)), Turn("assistant", (answer,)))
    return Sample(id, turns, {"label": label, "where": "train.jsonl:1"})


def splits(**change):
    return {"train": [sample(**change), sample("b")], "val": [], "test": []}


@pytest.mark.parametrize(
    "change",
    [{"id": "c"}, {"question": "Why?"}, {"answer": "wood"}, {"label": "wood"}, {"shade": 4}, {"blank": True}],
)
def test_every_change_shows(change):
    assert fingerprint(splits(**change)) != fingerprint(splits())


def test_a_moved_sample_shows_and_a_moved_file_does_not():
    moved = splits()
    moved["val"].append(moved["train"].pop())
    assert fingerprint(moved) != fingerprint(splits())
    elsewhere = splits()
    elsewhere["train"][0] = replace(elsewhere["train"][0], meta={"label": "fire", "where": "other.jsonl:9"})
    assert fingerprint(elsewhere) == fingerprint(splits())


def test_text_cannot_pass_for_structure():
    """Pieces are hashed with their lengths: moving a border between two of them shows."""
    one = sample()
    joined = replace(one, turns=(replace(one.turns[0], parts=(*one.turns[0].parts[:1], "What?", "")), one.turns[1]))
    assert fingerprint({"train": [joined]}) != fingerprint({"train": [one]})


def test_a_picture_is_its_bytes_wherever_it_lies(tmp_path):
    def named(file):
        Image.new("RGB", (4, 4), (9, 9, 9)).save(file)
        return {"train": [Sample("a", (Turn("user", (Picture(file), "?")),), {"label": "fire"})]}

    assert fingerprint(named(tmp_path / "x.png")) == fingerprint(named(tmp_path / "y.png"))


FINDINGS = [
    Finding("duplicate", "warning", "train", "a", "the same picture twice"),
    *[Finding("missing-picture", "error", "train", f"x{n}", f"train.jsonl:{n}: [red]gone[/red]") for n in range(9)],
]


def test_the_table_counts_and_shows_names_as_they_are():
    out = StringIO()
    Console(file=out, width=120).print(findings_table(FINDINGS))
    text = out.getvalue()
    assert "[red]gone[/red]" in text  # not taken for markup
    assert "… and 6 more" in text
    assert text.index("missing-picture") < text.index("duplicate")  # errors first


def test_the_list_for_json_is_complete():
    listed = findings_list(FINDINGS)
    assert len(listed) == len(FINDINGS)
    assert listed[0] == {
        "kind": "duplicate",
        "severity": "warning",
        "split": "train",
        "sample": "a",
        "message": "the same picture twice",
    }


def test_facts_count_samples_classes_and_findings():
    facts = Dataset("d", "classification", splits(), ("fire", "wood"), FINDINGS, "abc").facts()
    assert facts["samples"] == {"train": 2, "val": 0, "test": 0}
    assert facts["classes"]["train"] == {"fire": 2, "wood": 0}
    assert facts["findings"] == {"missing-picture": 9, "duplicate": 1}
