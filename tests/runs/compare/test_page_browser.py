"""The page as somebody uses it in a browser: headers sort, words and states filter, nothing is asked of any server."""

from __future__ import annotations

import pytest
from tests.runs.chromium import tab
from tests.runs.compare.test_page import HOSTILE, compared, entry
from tests.runs.reports.test_report_browser import BROWSER

from prospect.runs.compare.page import page

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no browser")
SHOWN = """[...document.querySelectorAll('#%s tbody')].filter(body => body.checkVisibility())
           .map(body => body.rows[0].cells[%d].innerText.split('\\n')[0].trim())"""
LINES = """[...document.querySelectorAll('#curves figure:first-of-type svg g')]
           .filter(line => getComputedStyle(line).display !== 'none').length"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Nine finished runs in three groups, their numbers not in the order of their digits; one failed, one broken."""
    folder = tmp_path_factory.mktemp("page")
    runs = [entry(folder, f"r{i}", seed=i % 3, weight=(0.5, 2.0, 10.0)[i // 3], f1=i / 20) for i in range(9)]
    runs.append(entry(folder, "lost", state="FAILED", seed=3, weight=10.0, problem=f"CUDA {HOSTILE}"))
    runs.append(entry(folder, "half", state="BROKEN", problem="run.json is not complete JSON"))
    (folder / "page.html").write_text(page(compared(runs)), encoding="utf-8")
    with tab(folder / "page.html", folder / "profile") as there:
        yield there
    assert there.asked == []
    assert there.said == []


def rows(there, table: str, column: int = 0) -> list[str]:
    return there.run(SHOWN % (table, column))


def click(there, selector: str) -> None:
    there.run(f"document.querySelector(`{selector}`).click()")


def type_in(there, words: str) -> None:
    there.run(f"(words.value = {words!r}, words.dispatchEvent(new Event('input')))")


def test_a_header_sorts_numbers_as_numbers(opened):
    click(opened, "#groups th:nth-child(1) button")
    assert rows(opened, "groups") == ["0.5", "2.0", "10.0"]
    click(opened, "#groups th:nth-child(1) button")
    assert rows(opened, "groups") == ["10.0", "2.0", "0.5"]
    assert opened.run("[...document.querySelectorAll('#groups th[aria-sort]')].map(h => h.ariaSort)") == [
        *("descending", "none", "none"),
    ]


def test_what_has_no_value_comes_last_whichever_way(opened):
    for _ in range(2):
        click(opened, "#runs th:nth-child(5) button")
        assert rows(opened, "runs")[-2:] == ["lost", "half"]
    assert rows(opened, "runs")[0].startswith("r8")  # and "best"
    click(opened, "#runs th:nth-child(1) button")
    assert rows(opened, "runs")[:2] == ["half", "lost"]


def test_the_keyboard_sorts_too(opened):
    opened.run("document.querySelector('#runs th:nth-child(3) button').focus()")
    opened.press("Enter", 13, "\r")
    assert rows(opened, "runs", 2) == ["0", "0", "0", "1", "1", "1", "2", "2", "2", "3", ""]
    opened.press("Enter", 13, "\r")
    assert rows(opened, "runs", 2) == ["3", "2", "2", "2", "1", "1", "1", "0", "0", "0", ""]
    assert opened.run("document.querySelector('#runs th:nth-child(3)').ariaSort") == "descending"


def test_words_filter_all_columns_and_the_curves(opened):
    assert opened.run(LINES) == 3
    type_in(opened, "cuda")
    assert rows(opened, "runs") == ["lost"]
    assert rows(opened, "groups") == ["10.0"]
    assert opened.run(LINES) == 1
    assert opened.run("document.querySelector('#found').textContent") == "1 of 3 groups, 1 of 11 runs"
    type_in(opened, "DONE weight=2.0")
    assert sorted(rows(opened, "runs")) == ["r3", "r4", "r5"]
    assert rows(opened, "tests", 1) == ["weight=2.0"]
    type_in(opened, "")
    assert len(rows(opened, "runs")) == 11
    assert opened.run(LINES) == 3


def test_states_filter(opened):
    click(opened, "[data-state=FAILED].chip")
    assert rows(opened, "runs") == ["lost"]
    assert rows(opened, "groups") == ["10.0"]
    click(opened, "[data-state=BROKEN].chip")
    assert sorted(rows(opened, "runs")) == ["half", "lost"]
    click(opened, "[data-state=FAILED].chip")
    click(opened, "[data-state=BROKEN].chip")
    assert len(rows(opened, "runs")) == 11


def test_the_legend_takes_a_line_away(opened):
    click(opened, ".legend button")
    assert opened.run(LINES) == 2
    click(opened, ".legend button")
    assert opened.run(LINES) == 3


def test_hostile_words_are_text(opened):
    assert HOSTILE in opened.run("[...document.querySelectorAll('tr.why')].map(row => row.textContent).join()")
    assert opened.run("document.title") == "11 runs compared"
    assert opened.run("document.images.length") == 0


def test_of_many_rows_the_first_are_laid_out(tmp_path):
    runs = [entry(tmp_path, f"r{i}", seed=i, weight=1.0, f1=i / 200) for i in range(150)]
    (tmp_path / "page.html").write_text(page(compared(runs)), encoding="utf-8")
    with tab(tmp_path / "page.html", tmp_path / "profile") as there:
        assert len(rows(there, "runs")) == 100
        click(there, "#runs th:nth-child(3) button")
        click(there, "#runs th:nth-child(3) button")
        assert rows(there, "runs", 2)[0] == "149"
        click(there, ".all[data-of=runs]")
        assert len(rows(there, "runs")) == 150
        assert there.said == []


def test_the_tab_would_tell(tmp_path):
    """Else its silence above would prove nothing."""
    (tmp_path / "page.html").write_text("<img src=http://127.0.0.1:9/a><script>throw new Error('broken')</script>")
    with tab(tmp_path / "page.html", tmp_path / "profile") as there:
        there.run("1")
        assert there.asked == ["http://127.0.0.1:9/a"]
        assert "broken" in "".join(there.said)
