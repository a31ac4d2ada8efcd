"""Classification of transport errors: exceptions of aiohttp, sockets and timeouts."""

import re
from typing import Any

import aiohttp
import attrs

from cc_async._secrets import redact
from cc_async.errors import RequestTimeoutError, TransportError

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
_REASONS = {
    "got more than": "its headers are too large",
    "too many": "its headers are too large",
    "content-encoding": "its content coding is broken or unknown",
    "content-length": "it has a wrong Content-Length, or two of them",
    "transfer-encoding": "its transfer encoding is broken",
    "not enough data": "it was cut off",
}
"""Explanations of aiohttp's messages, which themselves quote the response."""
CHECK_FIRST = "The write may have been applied; check before retrying."


class ConnectionBroken(aiohttp.ServerConnectionError):
    """Hides a broken connection from aiohttp, which would otherwise send idempotent requests again by itself."""


@attrs.frozen
class TransportFailure:
    """The meaning of a failed exchange, without any data of the request."""

    timed_out: bool
    never_sent: bool
    """Whether no connection was made, so that the server cannot have seen the request."""
    permanent: bool
    """Whether trying again cannot help."""
    name: str
    """The name of the exception."""
    reason: str | None
    """The reason, quoting neither the request nor the response."""
    cause: OSError | None
    """The error of the operating system, without what aiohttp attaches to it."""

    def error(self, *, write: bool) -> TransportError:
        """Return the exception to raise; raise it outside `except`, so that it has no context."""
        maybe_applied = write and not self.never_sent
        fields: dict[str, Any] = {"maybe_applied": maybe_applied, "permanent": self.permanent}
        hint = f" {CHECK_FIRST}" if maybe_applied else ""
        error: TransportError
        if self.timed_out:
            what = "No connection was made" if self.never_sent else "No response came"
            error = RequestTimeoutError(f"{what} within the timeout.{hint}", **fields)
        else:
            what = "No connection could be made" if self.never_sent else "The connection broke during the response"
            if self.reason is not None and self.cause is None and not self.never_sent:
                what = "The response could not be read"
            why = ": ".join(filter(None, (self.name, self.reason)))
            error = TransportError(f"{what} ({why}).{hint}", **fields)
        error.__cause__ = self.cause
        return error


def classify(error: BaseException) -> TransportFailure:
    """Classify an exception of aiohttp, a socket or a timeout.

    The exception itself must not be passed on: those of aiohttp hold the URL, headers or a proxy's password.
    """
    if isinstance(error, ConnectionBroken) and error.__cause__ is not None:
        error = error.__cause__
    timed_out = isinstance(error, TimeoutError)
    # Older releases of aiohttp leave the attributes of their own exception empty.
    source = error.certificate_error if isinstance(error, aiohttp.ClientConnectorCertificateError) else error
    reason, cause = _reason(source), None
    if isinstance(source, OSError) and not timed_out and source.errno is not None:
        cause = OSError(source.errno, reason)
    return TransportFailure(
        timed_out=timed_out,
        never_sent=isinstance(error, _NEVER_SENT) and not isinstance(error, aiohttp.RedirectClientError),
        permanent=isinstance(error, _PERMANENT),
        name=type(error).__name__,
        reason=reason,
        cause=cause,
    )


def _reason(error: BaseException) -> str | None:
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        said = str(error).lower()
        return next((reason for words, reason in _REASONS.items() if words in said), None)
    if isinstance(error, OSError) and error.strerror is not None:
        return re.sub(r"(\?|Connection<).*", "…", redact(error.strerror), flags=re.DOTALL)
    return None
