"""Data sets of questions and of prompts, as their rooms hand them over, with any columns."""

from __future__ import annotations

from PIL import Image

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.tags import tagged
from prospect.data.dataset import Dataset

ROWS = (("How many discs?", "2"), ("Is it red?", "yes"), ("Which colour?", "dark red"))


def prompts(*cells, task="prompts"):
    """A sample for each dict of columns."""
    samples = [Sample(f"row {n}", (Turn("user", ("How many?",)),), {"columns": dict(c)}) for n, c in enumerate(cells)]
    return Dataset("mine", task, {"train": samples, "val": [], "test": []})


def questions(rows=ROWS, written=tagged):
    samples = []
    for number, (question, answer) in enumerate(rows):
        turns = (Turn("user", (Picture(Image.new("RGB", (2, 3))), question)), Turn("assistant", (written(answer),)))
        columns = {"question": question, "answer": answer, "answers": [answer]}
        samples.append(Sample(f"row {number}", turns, {"columns": columns}))
    return Dataset("mine", "questions", {"train": samples[:-1], "val": samples[-1:], "test": []})
