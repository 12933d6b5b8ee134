"""An OpenAI-compatible endpoint on loopback that answers as it is told, rightly or not at all."""

from __future__ import annotations

import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SCORES = {"correctness": 4, "promptness": 3, "efficiency": 5, "overall": 4}


def said(text):
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


class Endpoint(ThreadingHTTPServer):
    """Answers as it is told: (status, body), or a function of the handler. The last one for good."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.asked = deque(), []
        self.over = threading.Event()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers), json.loads(body)))
        plan = self.server.plan
        step = plan.popleft() if len(plan) > 1 else plan[0]
        if callable(step):
            step(self)
            return
        status, content, *headers = step
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers), None))
        self.send_error(500)

    def log_message(self, *_):
        pass


def stall(handler):
    handler.server.over.wait(20)
