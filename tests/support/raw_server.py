"""A server of bare sockets that does what no HTTP library would, and clients that do not dawdle."""

import asyncio
import contextlib
import json
import pickle
import socket
import ssl
import struct
import traceback
from collections import deque
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self

import attrs

from cc_async import ConstantContact, ConstantContactError, RateLimiter, RetryPolicy
from cc_async.limits.protocol import Turn

TOKEN = "eyJhbGciOi.access-token.S3CR3T"
REASONS = {200: "OK", 201: "Created", 204: "No Content"}
FAST = RetryPolicy(first_pause=0.001, longest_pause=0.002)


@attrs.frozen
class Reply:
    """Bytes to write, and what to do after them."""

    data: bytes = b""
    then: Literal["keep", "close", "reset", "hang", "flood"] = "keep"


@attrs.frozen(kw_only=True)
class Request:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


def reply(
    status: int = 200,
    body: Any = None,
    headers: dict[str, str] | None = None,
    *,
    then: Literal["keep", "close", "reset", "hang", "flood"] = "keep",
    cut: int = 0,
) -> Reply:
    """An HTTP response, of which the last `cut` bytes stay away."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    length = {} if status == 204 else {"Content-Length": str(len(content))}
    fields = {"Content-Type": "application/json", **length, **(headers or {})}
    head = [f"HTTP/1.1 {status} {REASONS.get(status, 'Whatever')}", *(f"{name}: {fields[name]}" for name in fields)]
    data = "\r\n".join([*head, "", ""]).encode() + content
    return Reply(data[: len(data) - cut], then)


def error(status: int, key: str, message: str = "What went wrong.", **headers: str) -> Reply:
    """An error of the gateway."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return reply(status, {"error_key": key, "error_message": message}, named)


CUT, RESET, HANG = Reply(then="close"), Reply(then="reset"), Reply(then="hang")
THROTTLED = error(429, "throttled", "Too Many Requests")
QUOTA = error(429, "quota_exceeded", "Limit Exceeded")
UNAUTHORIZED = error(401, "unauthorized", "Unauthorized")


def success(request: Request) -> Reply:
    """What the API answers where nothing is wrong."""
    path = request.target.partition("?")[0]
    if request.method == "DELETE":
        return reply(204)
    if request.method == "GET" and path.endswith("/contacts"):
        return reply(200, {"contacts": []})
    if path.endswith("/sign_up_form"):
        return reply(201, {"contact_id": "c1", "action": "created"})
    return reply(201 if request.method == "POST" else 200, {"contact_id": "c1"})


class RawServer:
    """Responds to each request with the next of `replies`, and then with `success`."""

    def __init__(self, *replies: Reply, tls: ssl.SSLContext | None = None) -> None:
        self.replies = deque(replies)
        self.always: Reply | None = None
        self.requests: list[Request] = []
        self.connections = 0
        self.arrived = asyncio.Event()
        self.valid_tokens: set[str] | None = None
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        scheme = "http" if self._tls is None else "https"
        self.base_url = f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v3"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._serve(reader, writer, self.connections)
        writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()
        self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, target, _ = head[0].split(" ")
            token = next(line[22:] for line in head if line.lower().startswith("authorization: bearer "))
            request = Request(method=method, target=target, headers=headers, body=body, connection=connection)
            self.requests.append(request)
            self.arrived.set()
            response = self._response(request, token)
            writer.write(response.data)
            while response.then == "flood":
                writer.write(b"x" * 65_536)
                await writer.drain()
            if response.then == "hang":
                await reader.read()
            if response.then == "reset":
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            if response.then != "keep":
                return
            await writer.drain()

    def _response(self, request: Request, token: str) -> Reply:
        if self.valid_tokens is not None and token not in self.valid_tokens:
            return UNAUTHORIZED
        if self.replies:
            return self.replies.popleft()
        return success(request) if self.always is None else self.always


@contextlib.contextmanager
def nobody_listens() -> Iterator[str]:
    """The URL of a port that refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v3"


@contextlib.contextmanager
def nobody_accepts() -> Iterator[str]:
    """The URL of a port to which connections are neither made nor refused."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # fill the queue
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)  # positional only
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v3"


class OpenLimiter:
    """Lets everything pass, and counts what it was asked and told."""

    resets_at = datetime(2030, 1, 2, tzinfo=UTC)

    def __init__(self) -> None:
        self.turns = 0
        self.refusals: list[float | None] = []
        self.quotas = 0

    async def acquire(self, turn: Turn) -> None:  # noqa: ARG002  # the protocol has it
        self.turns += 1

    async def throttled(self, retry_after: float | None = None) -> None:
        self.refusals.append(retry_after)

    async def quota_exceeded(self) -> None:
        self.quotas += 1


def hasty(base_url: str, auth: Any = TOKEN, **settings: Any) -> ConstantContact:
    """A client with no limit that retries after a millisecond."""
    settings = {"rate_limiter": OpenLimiter(), "retry": FAST, "timeout": 5.0, **settings}
    return ConstantContact(auth, base_url=base_url, **settings)


def unlimited() -> RateLimiter:
    """The real limiter, too wide to be felt."""
    return RateLimiter(1_000_000, 0.001, None, margin=0.0)


@contextlib.asynccontextmanager
async def talking(*replies: Reply, **settings: Any) -> AsyncIterator[tuple[ConstantContact, RawServer]]:
    """A hasty client and its server."""
    async with RawServer(*replies) as server, hasty(server.base_url, **settings) as cc:
        yield cc, server


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that it knows to have led to it."""
    found = [error]
    for one in found:
        yield one
        found += [known for known in (one.__cause__, one.__context__) if known is not None and known not in found]


def shown(error: BaseException) -> str:
    """All that a log could show of an exception and of those that led to it."""
    parts: list[object] = ["".join(traceback.format_exception(error)), pickle.dumps(error)]
    for one in chain(error):
        parts += [one, str(one), one.args, vars(one) if isinstance(one, ConstantContactError) else None]
        parts += [
            getattr(one, name, None) for name in ("request_info", "headers", "message", "strerror", "url", "os_error")
        ]
    return "\n".join(map(repr, parts))


def shown_by_a_debugger(error: BaseException) -> str:
    """The same with the local variables of the frames of cc_async, which crash reporters collect."""
    frames = (frame for one in chain(error) for frame, _ in traceback.walk_tb(one.__traceback__))
    ours = [frame for frame in frames if "/cc_async/" in frame.f_code.co_filename]
    assert ours
    variables = [(frame.f_code.co_name, name, value) for frame in ours for name, value in frame.f_locals.items()]
    return "\n".join([shown(error), *map(repr, variables)])


class TokenList:
    """A token provider that gives the next token whenever the present one was rejected."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = deque(tokens)
        self.rejected: list[str] = []

    async def token(self, rejected: str | None = None) -> str:
        if rejected is not None and rejected == self.tokens[0] and len(self.tokens) > 1:
            self.rejected.append(self.tokens.popleft())
        return self.tokens[0]
