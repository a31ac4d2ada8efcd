"""One request on its way through aiohttp: how far it came, and what the failures on the way mean."""

import asyncio
import re
from typing import Any

import aiohttp
import attrs
from aiohttp.client_middlewares import ClientHandlerType
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from cc_async._secrets import redact
from cc_async.errors import AuthenticationError, ConstantContactError, DecodeError, RequestTimeoutError, TransportError
from cc_async.http.retry import is_write

# No connection was made, so the server cannot have seen the request.
_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)
_PERMANENT = (
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)
DECODED = frozenset({"", "identity", "gzip", "x-gzip", "deflate", "br", "zstd"})
"""Content codings that aiohttp decodes, or refuses by itself where a package for them is missing."""
_REASONS = {
    "got more than": "its headers are too large",
    "too many": "its headers are too large",
    "content-encoding": "its content coding is broken or unknown",
    "content-length": "it has a wrong Content-Length, or two of them",
    "transfer-encoding": "its transfer encoding is broken",
    "not enough data": "it was cut off",
}
"""What aiohttp's messages, which quote the response, mean."""
_ERROR_BODY = 65_536
"""Bytes read of an error answer; what is longer costs the connection."""


class ConnectionBroken(aiohttp.ServerConnectionError):
    """Hides a broken connection from aiohttp, which would send idempotent requests again by itself."""


def transport_error(trouble: BaseException, *, write: bool) -> TransportError:
    """The exception for a failure of aiohttp, of a socket or of a clock; nothing of the request stays in its cause."""
    cause = trouble.__cause__ if isinstance(trouble, ConnectionBroken) and trouble.__cause__ else trouble
    reason = _reason(cause)
    _forget_request(cause)
    never_sent = isinstance(cause, _NEVER_SENT) and not isinstance(cause, aiohttp.RedirectClientError)
    maybe_applied = write and not never_sent
    hint = " The write may have taken effect: look before you send it again." if maybe_applied else ""
    fields: dict[str, Any] = {"maybe_applied": maybe_applied, "permanent": isinstance(cause, _PERMANENT)}
    if isinstance(cause, TimeoutError):
        what = "No connection was made" if never_sent else "No answer came"
        failure: TransportError = RequestTimeoutError(f"{what} within the time-out.{hint}", **fields)
    else:
        what = "No connection could be made" if never_sent else "The connection broke before the answer was complete"
        if reason is not None and not never_sent:
            what = "The response could not be read"
        said = cause.strerror if isinstance(cause, OSError) else None
        why = ": ".join(filter(None, (type(cause).__name__, said or reason)))
        failure = TransportError(f"{what} ({why}).{hint}", **fields)
    failure.__cause__ = cause
    return failure


def _reason(cause: BaseException) -> str | None:
    """What was wrong with a response, where aiohttp says so; its words are not passed on, since they quote it."""
    if not isinstance(cause, aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return None
    said = str(cause).lower()
    return next((reason for words, reason in _REASONS.items() if words in said), None)


async def start_of(response: aiohttp.ClientResponse) -> bytes:
    """The start of an error body, which may be of any size, or what came of it before the connection broke."""
    body = bytearray()
    try:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) >= _ERROR_BODY:
                break
    except (aiohttp.ClientError, OSError):
        pass  # the status has said what became of the request
    return bytes(body[:_ERROR_BODY])


def _forget_request(error: BaseException) -> None:
    """Take the URL, the headers and the proxy's password out of an exception and all that led to it."""
    if isinstance(error, aiohttp.ClientConnectorError):
        key = error._conn_key._replace(proxy=None, proxy_auth=None)  # noqa: SLF001  # there is no other way to it
        error._conn_key, error.args = key, (key, *error.args[1:])  # noqa: SLF001
    elif isinstance(error, aiohttp.ClientResponseError):
        blank = aiohttp.RequestInfo(URL(), "", CIMultiDictProxy(CIMultiDict()), URL())
        error.request_info, error.history, error.headers, error.args = blank, (), None, (blank, ())
        error.message = _fit_to_show(error.message.partition("\n")[0])
    elif isinstance(error, aiohttp.InvalidURL):
        error._url, error._description, error.args = "", None, ()  # noqa: SLF001
    elif isinstance(error, HttpProcessingError):  # quotes what it could not parse
        error.message, error.headers, error.args = error.message.partition("\n")[0], None, ()
    elif isinstance(error, aiohttp.ClientError):
        error.args = tuple(map(_fit_to_show, error.args))
        for name in {"message", "strerror"} & set(dir(error)):
            setattr(error, name, _fit_to_show(getattr(error, name)))
    for earlier in (error.__cause__, error.__context__):
        if earlier is not None:
            _forget_request(earlier)


def _fit_to_show(value: object) -> Any:
    """A part of an exception, without what follows the path of a URL or describes a connection."""
    if isinstance(value, str):
        return re.sub(r"(\?|Connection<).*", "…", redact(value), flags=re.DOTALL)
    return value if isinstance(value, int | bytes | None) else type(value).__name__


@attrs.define(eq=False)
class Progress:
    """What is known of a request while it is sent, perhaps several times."""

    method: str
    attempt: int = 0
    spent: float = 0.0
    """Seconds in attempts and in the pauses between them."""
    began: float = 0.0
    """When the present attempt began, by the event loop's clock."""
    under_way: bool = False
    """An attempt has begun and has not been answered."""
    sending: bool = False
    """aiohttp has found no fault with the request."""
    refused: bool = False
    """The last attempt was answered with 401; its replay does not count as another."""
    applied: bool = False
    """An attempt that has ended may have taken effect."""

    @property
    def write(self) -> bool:
        """Whether the request may change something on the server."""
        return is_write(self.method)

    @property
    def maybe_applied(self) -> bool:
        """Whether it may have done so by now."""
        return self.write and (self.applied or self.under_way)

    def begin(self) -> None:
        """An attempt begins."""
        self.attempt += not self.refused
        self.began = asyncio.get_running_loop().time()
        self.under_way, self.sending = True, False

    async def watch(self, request: aiohttp.ClientRequest, send: ClientHandlerType) -> aiohttp.ClientResponse:
        """The client middleware under which aiohttp sends once.

        Alone it repeats GET, PUT and DELETE when a connection breaks: past the limiter, and a DELETE that had worked
        then looks like a 404. Whether to repeat is the retry policy's to say.
        """
        self.sending = True
        try:
            return await send(request)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as broken:
            raise ConnectionBroken from broken

    def end(self, failure: ConstantContactError) -> None:
        """An attempt has failed."""
        self.spent += self.seconds()
        self.under_way = False
        self.refused = isinstance(failure, AuthenticationError)
        self.applied |= failure.maybe_applied or (self.write and isinstance(failure, DecodeError))

    def seconds(self) -> float:
        """How long the present attempt has taken."""
        return asyncio.get_running_loop().time() - self.began
