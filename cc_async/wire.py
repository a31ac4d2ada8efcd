"""The rules of the wire as pure functions: URLs, queries, links, error bodies and headers, without I/O."""

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Self

from cc_async._version import __version__

USER_AGENT = f"cc-async/{__version__} (+https://pypi.org/project/cc-async/)"
"""Sent with every request: the token host refuses the default of some HTTP clients."""

_ADDRESS = re.compile(r"[^\s@<>\"'(),:;=&?/]+(?:@|%40)[^\s@<>\"'(),:;=&?/]+", re.IGNORECASE)
_TOKEN = re.compile(r"(?i)(bearer\s+)[^\s\"']+|\beyJ[\w.-]{8,}|((?:access|refresh)_token\W{1,4})[^\s\"'&}]+")


class Secret(str):
    """A string that sends as itself and shows as nothing, in a repr as in a traceback's local variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    @classmethod
    def bearer(cls, token: str) -> Self:
        """The value of an Authorization header that carries `token`."""
        return cls(f"Bearer {token}")


def redact(text: str) -> str:
    """The text with e-mail addresses and what looks like a token replaced, fit for an exception or a log."""
    return _ADDRESS.sub("<address>", _TOKEN.sub(r"\1\2<token>", text))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a `Retry-After` header asks to wait, in seconds or as an HTTP date; else None."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
