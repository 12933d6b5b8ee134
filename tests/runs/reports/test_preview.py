"""The preview escapes every text, on the page and on the terminal, and shows faults instead of hiding them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from prospect.runs.reports.preview import page, show

HOSTILE = "</script><script>alert(1)</script>[bold red]markup[/] <image>"


@pytest.fixture
def view():
    return {
        "data": "zoo",
        "split": "train",
        "index": 3,
        "id": HOSTILE,
        "meta": {"reason": HOSTILE},
        "frames": 0,
        "parts": [
            {
                "answer": "",
                "id": HOSTILE,
                "turns": [
                    {
                        "role": "user",
                        "learn": True,
                        "kind": "",
                        "parts": [
                            {"image": "data:image/png;base64,AAAA", "size": "8 × 8 px", "name": HOSTILE},
                            {"text": HOSTILE},
                        ],
                    },
                    {"role": "assistant", "learn": False, "kind": "", "parts": [{"text": "fire"}]},
                ],
                "tokens": [
                    {"text": "<|im_start|>", "ids": [1], "channel": None, "control": True},
                    {"text": HOSTILE, "ids": [7, 8], "channel": None, "control": False},
                    {"text": " fire\n", "ids": [9], "channel": "answer", "control": False},
                ],
                "counts": {"tokens": 1200, "share of context": "14.6% of 8,192"},
                "stream": None,
            }
        ],
        "audit": {
            "samples": 5,
            "tokens": 6000,
            "learnt": 10,
            "longest": 1300,
            "by_channel": {"answer": 10},
            "faults": [f"zoo/train[1]: {HOSTILE}"],
            "findings": [{"severity": "warning", "kind": "mixed-paths", "count": 2, "example": HOSTILE}],
            "classes": {"fire": 3},
            "streams": None,
        },
        "model": {"parameters": 538688, "context": 8192},
    }


def test_the_page_escapes_every_text(view, tmp_path):
    html = page(view, tmp_path / "page.html").read_text()
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)") >= 6
    assert "14.6% of 8,192" in html
    assert "mixed-paths × 2" in html
    assert "Every learnt span" not in html  # there is a fault
    assert "http" not in html.replace("http-equiv", "")


def test_the_terminal_shows_texts_as_they_are(view):
    console = Console(file=io.StringIO(), width=200)
    show(view, console)
    text = console.file.getvalue()
    assert "[bold red]markup[/]" in text
    assert "label fault  zoo/train[1]" in text
    assert "fire⏎" in text
    assert "5 samples, 6,000 tokens, 10 learnt; the longest has 1,300" in text


def test_a_sound_split_is_called_sound(view, tmp_path):
    view["audit"] |= {"faults": [], "findings": [], "by_channel": {}}
    console = Console(file=io.StringIO(), width=120)
    show(view, console)
    assert "every learnt span decodes" in console.file.getvalue()
    assert "Every learnt span decodes" in page(view, tmp_path / "page.html").read_text()


def test_a_pair_has_a_panel_for_either_answer(view, tmp_path):
    (part,) = view["parts"]
    both = view | {"parts": [part | {"answer": "preferred"}, part | {"answer": "rejected"}]}
    console = Console(width=200, record=True, file=io.StringIO())
    show(both, console)
    told = console.export_text()
    html = page(both, tmp_path / "pair.html").read_text()
    for answer in ("preferred", "rejected"):
        assert f"the {answer} answer" in told
        assert f"With the {answer} answer" in html
