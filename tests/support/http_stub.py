"""Responses without a socket: aioresponses, which shows in `sent` what left the client, byte for byte."""

import inspect
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import attrs
from aioresponses import aioresponses
from yarl import URL

from cc_async import ConstantContact, RateLimiter, RetryPolicy


class _Written:
    """Stands for the writer of a request that has been sent."""

    output_size = 0


_WRITER: dict[str, Any] = (
    {"stream_writer": _Written()}
    if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters
    else {}
)


class StubResponse(aiohttp.ClientResponse):
    """A response that needs no writer, which aioresponses does not know that newer releases of aiohttp ask for."""

    def __init__(self, method: str, url: URL, **parts: Any) -> None:
        super().__init__(method, url, **_WRITER, **parts)


@attrs.frozen
class Sent:
    """One request."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


class Responses(aioresponses):
    """Plans the responses to requests; one that was not planned fails."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Sent] = []

    def plan(self, method: str, url: str, **response: Any) -> None:
        """Respond to one request; the parameters of `add` say how."""
        self.add(url, method, response_class=StubResponse, **response)

    async def _request_mock(
        self, orig_self: aiohttp.ClientSession, method: str, url: Any, *args: Any, **kwargs: Any
    ) -> aiohttp.ClientResponse:
        self.sent.append(Sent(method, str(url), kwargs["headers"], kwargs["data"]))
        return await super()._request_mock(orig_self, method, url, *args, **kwargs)


@asynccontextmanager
async def client(*, attempts: int = 1, strict: bool = False) -> AsyncIterator[tuple[ConstantContact, Responses]]:
    """A client without a socket, and the responses to plan for it."""
    responses = Responses()
    limiter, retry = RateLimiter(rate=100_000), RetryPolicy(attempts=attempts)
    with responses:
        async with ConstantContact("t0k3n", rate_limiter=limiter, retry=retry, strict=strict) as cc:
            yield cc, responses
