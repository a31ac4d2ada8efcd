"""URLs, path segments and queries, as pure functions."""

import contextlib
import enum
import ipaddress
import math
import re
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from cc_async._version import __version__
from cc_async.errors import InvalidRequestError

USER_AGENT = f"cc-async/{__version__} Python/{sys.version_info[0]}.{sys.version_info[1]} aiohttp/{aiohttp.__version__}"
"""The User-Agent of every request: the authorization server refuses the default one of some HTTP clients."""
_PROVIDER = re.compile(r"(.*\.)?(constantcontact\.com|cc\.email)\.?", re.IGNORECASE)
"""Hosts to which tokens are never sent over plain HTTP."""


def is_loopback(url: URL) -> bool:
    """Whether the host of the URL is this machine, to which tokens may be sent over plain HTTP."""
    host = url.host or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_endpoint(url: str | URL, *, allow_insecure_http: bool = False) -> URL:
    """Return an endpoint to which secrets can be sent.

    `allow_insecure_http` permits plain HTTP to other machines too, but never to the provider's own hosts.

    Raises:
        InvalidRequestError: It is not an absolute URL, holds a password, or is plain HTTP to another machine.

    """
    if not isinstance(url, str | URL):
        raise InvalidRequestError(f"An endpoint must be a URL as a string, not {type(url).__name__}.")
    try:
        parsed = URL(url)
    except ValueError:
        raise InvalidRequestError("The endpoint is not a URL.") from None
    if parsed.user or parsed.password or parsed.query_string or parsed.fragment or not parsed.host:
        raise InvalidRequestError("An endpoint is an absolute URL without user, query or fragment.")
    insecure = is_loopback(parsed) or (allow_insecure_http is True and not _PROVIDER.fullmatch(parsed.host))
    if parsed.scheme != "https" and not (parsed.scheme == "http" and insecure):
        raise InvalidRequestError(
            f"{parsed.scheme}://{parsed.host} would send tokens unprotected: use https (http only to this machine)."
        )
    return parsed


def quote_segment(value: str) -> str:
    """Encode an id as one path segment.

    Raises:
        InvalidRequestError: The id is empty or not valid Unicode.

    """
    if not isinstance(value, str) or not value:
        raise InvalidRequestError("An id must be a string that is not empty.")
    try:
        quoted = quote(value, safe="")
    except UnicodeEncodeError:
        raise InvalidRequestError("An id must be valid Unicode.") from None
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")


def timestamp(value: datetime | str, *, rounded_up: bool = False) -> str:
    """Format a datetime for the API's filters, in UTC with a `Z`; a string is returned unchanged.

    Microseconds are rounded down or up to milliseconds, so that a bound never excludes what it should include.

    Raises:
        InvalidRequestError: The datetime is naive, so its time is unknown.

    """
    if isinstance(value, str) and value:
        return value
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidRequestError("A time filter needs an aware datetime, such as datetime.now(UTC), or a string.")
    try:
        utc = value.astimezone(UTC)
    except OverflowError:
        raise InvalidRequestError("A time filter lies between the years 1 and 9999 of UTC.") from None
    if rounded_up and utc.microsecond % 1_000:
        with contextlib.suppress(OverflowError):  # there is no later millisecond
            utc += timedelta(milliseconds=1)
    text = utc.isoformat(timespec="milliseconds" if utc.microsecond else "seconds")
    return text.removesuffix("+00:00") + "Z"


def csv(name: str, value: str | Iterable[str], *, at_most: int | None = None) -> str:
    """Join several values into one parameter.

    Raises:
        InvalidRequestError: There are none, which would mean no filter at all, or more than the API accepts.

    """
    parts = value.split(",") if isinstance(value, str) else list(value)
    if not parts or not all(isinstance(part, str) and part for part in parts):
        raise InvalidRequestError(f"{name} must hold at least one value, each a string that is not empty.")
    text = ",".join(parts)
    count = text.count(",") + 1
    if at_most and count > at_most:
        raise InvalidRequestError(f"{name} takes at most {at_most} values at a time, not {count}.")
    return text


def query_values(name: str, value: Any) -> list[str]:
    """Return the values of one parameter: none for None, several for a sequence, a set or a generator.

    Booleans are true and false, aware datetimes UTC with a `Z`; a set has no order of its own and is sorted.

    Raises:
        InvalidRequestError: A value has no unambiguous form in a URL.

    """
    several = isinstance(value, list | tuple | set | frozenset | Iterator)
    texts = [_query_value(name, item) for item in (value if several else [value]) if item is not None]
    return sorted(texts) if isinstance(value, set | frozenset) else texts


def _query_value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, enum.Enum):
        return _query_value(name, value.value)
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise InvalidRequestError(f"The parameter {name!r} needs an aware datetime, such as datetime.now(UTC).")
        return timestamp(value)
    if isinstance(value, str | int | uuid.UUID) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    raise InvalidRequestError(
        f"The parameter {name!r} takes strings, finite numbers, booleans, aware datetimes or several of them,"
        f" not {type(value).__name__}."
    )


def query(params: Mapping[str, Any]) -> str:
    """Build a query string with `+` encoded as `%2B`, with the values of `query_values`.

    Raises:
        InvalidRequestError: A value or a name cannot be written in a URL.

    """
    if not all(isinstance(name, str) for name in params):
        raise InvalidRequestError("The names of parameters must be strings.")
    pairs = [(name, text) for name, value in params.items() for text in query_values(name, value)]
    try:
        return "&".join(f"{quote(name, safe='')}={quote(text, safe=',:')}" for name, text in pairs)
    except UnicodeEncodeError:
        raise InvalidRequestError("A parameter must be valid Unicode.") from None


def with_query(url: str, params: Mapping[str, Any]) -> str:
    """Append parameters to a URL, whose own are kept byte for byte."""
    added = query(params)
    if not added:
        return url
    return f"{url}{'&' if '?' in url else '?'}{added}"
