"""A middleware that stops aiohttp from repeating requests, and bounded reading of error responses."""

import aiohttp
import attrs
from aiohttp.client_middlewares import ClientHandlerType

from cc_async.wire.failures import ConnectionBroken

DECODED = frozenset({"", "identity", "gzip", "x-gzip", "deflate", "br", "zstd"})
"""Content codings that aiohttp decodes, or refuses if the package for them is missing."""
_ERROR_BODY = 65_536
"""Bytes that are read of an error response; a longer one costs the connection."""


@attrs.define
class SendOnce:
    """A client middleware that makes aiohttp send a request only once.

    Without it aiohttp repeats GET, PUT and DELETE when a connection breaks, bypassing the limiter, and a DELETE that
    succeeded looks like a 404. Only the retry policy decides about repeating.
    """

    sending: bool = False
    """Whether aiohttp has accepted the request."""

    async def __call__(self, request: aiohttp.ClientRequest, send: ClientHandlerType) -> aiohttp.ClientResponse:
        """Send the request."""
        self.sending = True
        try:
            return await send(request)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as broken:
            raise ConnectionBroken from broken


async def start_of(response: aiohttp.ClientResponse) -> bytes:
    """Return the start of an error body, which may have any size, or the part that arrived before an error."""
    body = bytearray()
    try:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) >= _ERROR_BODY:
                break
    except (aiohttp.ClientError, OSError):
        pass  # the status is already known, and it is all that matters
    return bytes(body[:_ERROR_BODY])
