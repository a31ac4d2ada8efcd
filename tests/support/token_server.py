"""A token host on this machine, in a thread, that rotates refresh tokens and misbehaves to order."""

import json
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

Reply = tuple[int, dict[str, str], str]
CUT: Reply = (0, {}, "")
"""The connection breaks after the request was carried out."""
HTML: Reply = (503, {"Content-Type": "text/html"}, "<html>down for maintenance</html>")


def reply(status: int, **fields: Any) -> Reply:
    return status, {"Content-Type": "application/json"}, json.dumps(fields)


def granted(number: int, lifetime: Any = 86_400, **fields: Any) -> Reply:
    return reply(200, access_token=f"a{number}", refresh_token=f"r{number}", expires_in=lifetime, **fields)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        form = dict(parse_qsl(self.rfile.read(length).decode()))
        status, headers, body = self.server.owner.response(form, dict(self.headers), self.path)  # type: ignore[attr-defined]
        self.close_connection = True
        if not status:
            return
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that has given up is no news."""


class TokenServer:
    """Grants a1/r1 for r0, a2/r2 for r1 and so on; `replies` go first, in order."""

    def __init__(self, *, latency: float = 0.0, forgiving: bool = False) -> None:
        self.latency = latency
        self.forgiving = forgiving
        self.number = 0
        self.replies: deque[Reply] = deque()
        self.forms: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.arrived = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def response(self, form: dict[str, str], headers: dict[str, str], path: str) -> Reply:
        with self._guard:
            self.forms.append({**form, "path": path})
            self.headers.append(headers)
            response = self.replies.popleft() if self.replies else self._granted(form)
        self.arrived.release()
        self.gate.wait(20)
        time.sleep(self.latency)
        return response

    def _granted(self, form: dict[str, str]) -> Reply:
        if form["grant_type"] == "refresh_token" and not self.forgiving and form["refresh_token"] != f"r{self.number}":
            return reply(400, error="invalid_grant", error_description="The refresh token is invalid or expired.")
        self.number += 1
        return granted(self.number)

    @property
    def refreshes(self) -> list[str]:
        """The refresh tokens that were sent, in order."""
        return [form["refresh_token"] for form in self.forms if "refresh_token" in form]
