"""The report as a browser opens it: nothing is asked of any server, no script fails, and what others wrote is text."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tests.runs.reports.test_report_watched import METRICS, row

from prospect.runs.folder import Run
from prospect.runs.reports.report import write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--dump-dom"),
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no browser")


@pytest.fixture
def asked():
    """The address of a server, and the paths that were asked of it."""
    paths: list[str] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", paths
        server.shutdown()


def opened(page, profile) -> tuple[str, str]:
    """The page after its scripts ran, and what was said on the console."""
    done = subprocess.run(
        [BROWSER, *FLAGS, f"--user-data-dir={profile}", page.as_uri()], capture_output=True, text=True, timeout=60
    )
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def test_a_report_of_hostile_words_opens_quietly(tmp_path, asked):
    address, paths = asked
    hostile = f"</title></text></script><script>document.title = 'owned'</script><img src={address}/a onerror=alert(1)>"
    clip = row(
        hostile,
        pairs=[[11, hostile, 11, "Take the disc.", 0.1, False]],
        asked=[[12, hostile]],
        steps=[["S1", hostile]],
        start={"S1": f'x" style="background: url({address}/b)'},
        thumbnails=[{"at": 1, "image": f"{address}/c.png"}],
    )
    curve = [{"step": step, "train/loss": 1 / (step + 1)} for step in range(9)]
    with Run.start(tmp_path / "a", {"what": hostile}, 0) as run:
        run.write_json("metrics.json", METRICS)
        run.write_text("metrics.jsonl", "".join(json.dumps(each) + "\n" for each in curve))
        run.write_text("predictions/test.watched.jsonl", json.dumps(clip) + "\n")
    page, said = opened(write_report(tmp_path / "a"), tmp_path / "profile")
    assert "Watched freely" in page
    assert said == ""
    assert paths == []
    title = re.search(r"<title>(.*?)</title>", page)
    assert title is not None
    assert "owned" not in title[1]


def test_the_browser_would_tell(tmp_path, asked):
    """Else the silence above would prove nothing."""
    address, paths = asked
    page = tmp_path / "page.html"
    page.write_text(f"<img src={address}/a><script>throw new Error('broken')</script>")
    _, said = opened(page, tmp_path / "profile")
    assert "broken" in said
    assert paths == ["/a"]
