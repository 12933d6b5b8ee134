"""A language model as judge: it gets a rubric and what is to be judged, and answers with whole numbers.

Any OpenAI-compatible endpoint: OPENAI_BASE_URL (ends in /v1) and OPENAI_API_KEY in the environment. Verdicts are kept
by what was asked, so that nothing is asked twice. What cannot be read is a failure, never a score.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prospect.disk import write_atomically
from prospect.errors import UserError

LARGEST = 1 << 20  # bytes of an answer
_MISTAKES = (401, 403, 404)  # no sample is to blame, and none will fare better
_PASSING = (408, 409, 425, 429)  # and every 5xx: another try may do


@dataclass(frozen=True)
class Rubric:
    """What a judge is told to do, and the whole numbers that it has to answer with, one an aspect."""

    system: str
    aspects: tuple[str, ...]
    lowest: int
    highest: int

    def read(self, text: str) -> dict[str, int]:
        """The scores of an answer. ValueError unless it is a JSON object of just the aspects, each within its range."""
        found = json.loads(text, object_pairs_hook=_once)
        if not isinstance(found, dict) or set(found) != set(self.aspects):
            raise ValueError(f"not an object of {', '.join(self.aspects)}")
        for aspect in self.aspects:
            if type(found[aspect]) is not int or not self.lowest <= found[aspect] <= self.highest:  # True is no number
                raise ValueError(f"{aspect} is no whole number from {self.lowest} to {self.highest}")
        return {aspect: found[aspect] for aspect in self.aspects}


@dataclass(frozen=True)
class Verdict:
    """Scores by aspect, or why there are none."""

    scores: dict[str, int] | None
    failure: str = ""


@dataclass(frozen=True)
class Judge:
    """An endpoint and how to ask it. `key` is sent to `base_url` alone, and stands in no message and no file."""

    model: str
    base_url: str
    rubric: Rubric
    key: str = field(default="", repr=False)
    cache: Path | None = None
    timeout: float = 60.0  # seconds without a byte; an answer that has not ended by then is cut off too
    tries: int = 4
    wait: float = 1.0  # seconds before the second try, doubled before each further one
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        if urlsplit(self.base_url).scheme not in ("http", "https") or not urlsplit(self.base_url).hostname:
            raise UserError("OPENAI_BASE_URL is no address; one looks like http://localhost:8000/v1")
        if urlsplit(self.base_url).username is not None:
            raise UserError("OPENAI_BASE_URL holds a user name or password; give the key as OPENAI_API_KEY")
        if "?" in self.base_url or "#" in self.base_url:  # a key may stand there, and the address stands in messages
            raise UserError("OPENAI_BASE_URL holds a ? or a #; it ends in /v1, and a key is given as OPENAI_API_KEY")
        if self.tries < 1 or self.timeout <= 0:
            raise UserError(f"judge: tries={self.tries} must be at least 1 and timeout={self.timeout} above 0")
        if not self.key.isascii() or not self.key.isprintable():
            raise UserError("OPENAI_API_KEY holds a character that no key has; a line break, perhaps")

    def verdict(self, material: str) -> Verdict:
        """UserError where the endpoint refuses the key, the model or the address."""
        return self.kept(material) or self.asked(material)

    def kept(self, material: str) -> Verdict | None:
        """The verdict of an earlier time, if there is one."""
        file = self._file(self._request(material))
        if file is None or not file.is_file():
            return None
        try:
            return Verdict(self.rubric.read(file.read_text("utf-8")))
        except ValueError as error:
            raise UserError(f"{file} is no verdict ({error}); delete it and the judge is asked again") from error

    def asked(self, material: str) -> Verdict:
        """A new verdict, kept for later if it could be read."""
        asked = self._request(material)
        found, file = self._answer(json.dumps(asked).encode()), self._file(asked)
        if found.scores is not None and file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, json.dumps(found.scores), sync=False)
        return found

    def knock(self, material: str) -> Verdict:
        """One small request, never kept: a wrong key or model is told now and not after hours."""
        return replace(self, tries=1, cache=None).verdict(material)

    def _request(self, material: str) -> dict[str, Any]:
        messages = [{"role": "system", "content": self.rubric.system}, {"role": "user", "content": material}]
        return {"model": self.model, "temperature": 0, "messages": messages}

    def _file(self, asked: dict[str, Any]) -> Path | None:
        """Where the verdict lies: by the endpoint and everything that it is asked."""
        if self.cache is None:
            return None
        content = json.dumps([self.base_url, asked], sort_keys=True)
        return self.cache / f"{hashlib.sha256(content.encode()).hexdigest()}.json"

    def _answer(self, body: bytes) -> Verdict:
        failure = ""
        for attempt in range(self.tries):
            if attempt:
                self.sleep(self.wait * 2 ** (attempt - 1))
            try:
                return self._said(self._post(body))
            except urllib.error.HTTPError as error:
                error.close()
                if error.code in _MISTAKES:
                    raise UserError(_refusal(error.code, self.base_url, self.model)) from None
                failure = f"status {error.code}"
                if error.code < 500 and error.code not in _PASSING:
                    break
            except TimeoutError:
                failure = f"no answer within {self.timeout:g} s"
            except (OSError, http.client.HTTPException) as error:  # refused, reset, cut off: by type alone, since the
                failure = f"no connection ({type(error).__name__})"  # text of an error may quote what was sent
        return Verdict(None, f"{failure}, {attempt + 1} {'try' if not attempt else 'tries'}")

    def _said(self, body: bytes) -> Verdict:
        """The verdict in a completion. Nothing of an answer that cannot be read is quoted: it may echo the key."""
        try:
            content = json.loads(body)["choices"][0]["message"]["content"]
            return Verdict(self.rubric.read(content))
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            reason = str(error) if type(error) is ValueError else type(error).__name__
            return Verdict(None, f"the answer cannot be read: {reason}")

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        address = f"{self.base_url.rstrip('/')}/chat/completions"
        until = time.monotonic() + self.timeout
        asked = urllib.request.Request(address, body, headers, method="POST")
        try:
            with _OPENER.open(asked, timeout=self.timeout) as answer:
                return _whole(answer, until)
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError as error:
            raise error.reason if isinstance(error.reason, OSError) else error from None


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host: it is an answer like any other, and no verdict."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)


def verdicts(judge: Judge, asked: Sequence[str], at_once: int, refused: Callable[[], str]) -> Iterator[Verdict]:
    """One for each, in their order, several questions under way at once. Before a question is put, `refused` may say
    why it is not; what was kept needs no question."""

    def one(material: str) -> Verdict:
        found = judge.kept(material)
        if found is None and (why := refused()):
            return Verdict(None, why)
        return found or judge.asked(material)

    pool = ThreadPoolExecutor(at_once)
    try:
        yield from pool.map(one, asked)
    finally:  # where the endpoint refuses one it refuses all: what has not begun never does
        pool.shutdown(wait=False, cancel_futures=True)


def from_environment(environment: Mapping[str, str], model: str, rubric: Rubric, **settings: Any) -> Judge:
    """A key of nothing is a choice, of an endpoint that wants none; no key at all was forgotten."""
    address, key = environment.get("OPENAI_BASE_URL", "").strip(), environment.get("OPENAI_API_KEY")
    lacking = [] if address else ["OPENAI_BASE_URL, such as http://localhost:8000/v1"]
    lacking += ["OPENAI_API_KEY, empty where the endpoint wants none"] if key is None else []
    if lacking:
        raise UserError(f"the judge needs in the environment: {'; '.join(lacking)}")
    return Judge(model, address, rubric, (key or "").strip(), **settings)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _whole(answer: http.client.HTTPResponse, until: float) -> bytes:
    """All of an answer before the time is up, however slowly it drips: a socket's own timeout starts anew each time."""
    parts, size = [], 0
    while part := answer.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if time.monotonic() > until:
            raise TimeoutError
        if size > LARGEST:
            return b""  # no verdict is that long
    if answer.length:  # bytes that were promised and never came
        raise http.client.IncompleteRead(b"", answer.length)
    return b"".join(parts)


def _refusal(status: int, address: str, model: str) -> str:
    if status == 404:
        return f"judge: {address} has no chat/completions or no model {model!r} (status 404)"
    return f"judge: {address} refuses OPENAI_API_KEY (status {status})"
