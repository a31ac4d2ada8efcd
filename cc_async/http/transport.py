"""How a request goes through aiohttp once, and how much of an error response is read."""

import aiohttp
import attrs
from aiohttp.client_middlewares import ClientHandlerType

from cc_async.wire.failures import ConnectionBroken

DECODED = frozenset({"", "identity", "gzip", "x-gzip", "deflate", "br", "zstd"})
"""Content codings that aiohttp decodes, or refuses by itself where a package for them is missing."""
_ERROR_BODY = 65_536
"""Bytes read of an error response; a longer one costs the connection."""


@attrs.define
class SendOnce:
    """The client middleware under which aiohttp sends a request once.

    Without it aiohttp repeats GET, PUT and DELETE when a connection breaks: past the limiter, and a DELETE that had
    worked then looks like a 404. Whether to repeat is up to the retry policy.
    """

    sending: bool = False
    """aiohttp has accepted the request."""

    async def __call__(self, request: aiohttp.ClientRequest, send: ClientHandlerType) -> aiohttp.ClientResponse:
        """Send the request."""
        self.sending = True
        try:
            return await send(request)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as broken:
            raise ConnectionBroken from broken


async def start_of(response: aiohttp.ClientResponse) -> bytes:
    """The start of an error body, which may be of any size, or what came of it before the connection broke."""
    body = bytearray()
    try:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) >= _ERROR_BODY:
                break
    except (aiohttp.ClientError, OSError):
        pass  # the status is known, which decides everything
    return bytes(body[:_ERROR_BODY])
