"""A headless Chromium that a test steers: over its own protocol on two pipes, so nothing has to be installed for it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.runs.reports.test_report_browser import BROWSER, FLAGS

LIMIT = 60  # seconds for a whole test


class Tab:
    """One page. `asked` are the addresses it asked for beside its own, `said` what its console and scripts said."""

    def __init__(self, commands: int, answers: int) -> None:
        self.commands, self.answers = commands, os.fdopen(answers, "rb")
        self.count, self.session = 0, ""
        self.asked: list[str] = []
        self.said: list[str] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        letters = bytearray()
        while (letter := self.answers.read(1)) != b"\0":
            assert letter, "the browser is gone"
            letters += letter
        message = json.loads(letters)
        params = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif message.get("method") in {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"}:
            self.said.append(json.dumps(params))
        return message

    def open(self, page: Path) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Runtime", "Log", "Page"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=page.as_uri())
        while self._next().get("method") != "Page.loadEventFired":
            pass
        self.asked.remove(page.as_uri())

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        about = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)


@contextmanager
def tab(page: Path, profile: Path) -> Iterator[Tab]:
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    flags = [flag for flag in FLAGS if flag != "--dump-dom"]
    command = ["timeout", str(LIMIT), str(BROWSER), *flags, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    moved = ["sh", "-c", f'exec "$@" 3</dev/fd/{theirs_in} 4>/dev/fd/{theirs_out}', "sh", *command]
    assert min(theirs_in, theirs_out) > 4, "would be covered by 3 and 4, where Chromium looks for them"
    with subprocess.Popen(moved, pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL) as browser:
        os.close(theirs_in)
        os.close(theirs_out)
        opened = Tab(ours_out, ours_in)
        try:
            opened.open(page)
            yield opened
        finally:
            browser.terminate()
            browser.wait()
            os.close(ours_out)
            opened.answers.close()
