"""The rules of the wire as pure functions: URLs, queries, links, error bodies and headers, without I/O."""

import contextlib
import ipaddress
import json
import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import quote, unquote

from yarl import URL

from cc_async._version import __version__
from cc_async.errors import (
    BODY_LIMIT,
    ApiError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    DecodeError,
    ErrorDetail,
    InvalidRequestError,
    NotFoundError,
    PaginationError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    UnsupportedMediaTypeError,
)

USER_AGENT = f"cc-async/{__version__} (+https://pypi.org/project/cc-async/)"
"""Sent with every request: the token host refuses the default of some HTTP clients."""

_WORD = r"[^\s@<>\"'(),:;=&?/]"
# A match begins where a word does: tried from the middle of each, a long body without an address takes minutes.
_ADDRESS = re.compile(rf"(?<!{_WORD}){_WORD}+?(?:@|%40){_WORD}+")
_TOKEN = re.compile(r"(?i)(bearer\s+)[^\s\"']+|\beyJ[\w.-]{8,}|((?:access|refresh)_token\W{1,8})[^\s\"'\\&}]+")
_ORIGIN = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?(?://[^/?#]*)?", re.IGNORECASE)
"""What of a link comes before its path."""
_UNFIT = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")
"""What no link holds, and what programs disagree about."""
_ID = re.compile(r"\b[0-9a-f]{4,}(?:-[0-9a-f]{4,}){4}\b", re.IGNORECASE)  # not every id is a valid UUID


# --- secrets -----------------------------------------------------------------------------------------------------


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
    printable = text.encode(errors="replace").decode()  # half a surrogate pair would break the log that it is shown in
    return _ADDRESS.sub("<address>", _TOKEN.sub(r"\1\2<token>", printable))


# --- URLs and queries --------------------------------------------------------------------------------------------


def is_loopback(url: URL) -> bool:
    """Whether the host of the URL is this machine, the only one that plain HTTP may carry a token to."""
    host = url.host or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_endpoint(url: str | URL) -> URL:
    """An endpoint to send secrets to.

    Raises:
        InvalidRequestError: it is no absolute URL, holds a password, or is plain HTTP to another machine.

    """
    try:
        parsed = URL(url)
    except ValueError:
        raise InvalidRequestError("The endpoint is not a URL.") from None
    if parsed.user or parsed.password or parsed.query_string or parsed.fragment or not parsed.host:
        raise InvalidRequestError("An endpoint is an absolute URL without user, query or fragment.")
    if parsed.scheme != "https" and not (parsed.scheme == "http" and is_loopback(parsed)):
        raise InvalidRequestError(
            f"{parsed.scheme}://{parsed.host} would send tokens unprotected: use https (http only to this machine)."
        )
    return parsed


def segment(value: str) -> str:
    """An id as one path segment, whatever characters it holds.

    Raises:
        InvalidRequestError: it is empty, or no text that a URL can carry.

    """
    if not isinstance(value, str) or not value:
        raise InvalidRequestError("An id must be a string that is not empty.")
    try:
        quoted = quote(value, safe="")
    except UnicodeEncodeError:
        raise InvalidRequestError("An id must be valid Unicode.") from None
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")


def timestamp(value: datetime | str, *, rounded_up: bool = False) -> str:
    """A moment as the API's filters take it, in UTC with a `Z`; a string is passed on as it is.

    Finer than a millisecond it is rounded, down or up, so that a bound never shuts out what it should let in.

    Raises:
        InvalidRequestError: the datetime is naive, so its moment is unknown.

    """
    if isinstance(value, str) and value:
        return value
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidRequestError("A time filter needs an aware datetime, such as datetime.now(UTC), or a string.")
    try:
        moment = value.astimezone(UTC)
    except OverflowError:
        raise InvalidRequestError("A time filter lies between the years 1 and 9999 of UTC.") from None
    if rounded_up and moment.microsecond % 1_000:
        with contextlib.suppress(OverflowError):  # nothing lies after the last millisecond
            moment += timedelta(milliseconds=1)
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.removesuffix("+00:00") + "Z"


def csv(name: str, value: str | Iterable[str], *, at_most: int | None = None) -> str:
    """Several values as one parameter.

    Raises:
        InvalidRequestError: there is none, which would mean no filter at all, or more than the API takes.

    """
    parts = value.split(",") if isinstance(value, str) else list(value)
    if not parts or not all(isinstance(part, str) and part for part in parts):
        raise InvalidRequestError(f"{name} must hold at least one value, each a string that is not empty.")
    text = ",".join(parts)
    count = text.count(",") + 1
    if at_most and count > at_most:
        raise InvalidRequestError(f"{name} takes at most {at_most} values at a time, not {count}.")
    return text


def query(params: Mapping[str, Any]) -> str:
    """A query string in which `+` travels as `%2B`; None is left out, booleans are true and false.

    Raises:
        InvalidRequestError: a value is no text that a URL can carry.

    """
    pairs = []
    for name, value in params.items():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            text = str(item).lower() if isinstance(item, bool) else str(item)
            if item is not None:
                pairs.append((name, text))
    try:
        return "&".join(f"{quote(name, safe='')}={quote(text, safe=',:')}" for name, text in pairs)
    except UnicodeEncodeError:
        raise InvalidRequestError("A parameter must be valid Unicode.") from None


def with_query(url: str, params: Mapping[str, Any]) -> str:
    """The URL with parameters added behind those it has, which are kept byte for byte."""
    added = query(params)
    if not added:
        return url
    return f"{url}{'&' if '?' in url else '?'}{added}"


# --- links -------------------------------------------------------------------------------------------------------


def next_href(links: Any) -> str | None:
    """The link to the next page; None at the end, which has four shapes: no links, null, `{}`, or no `next`.

    Raises:
        DecodeError: there is a link, but not of the shape that a link has; taking it for the end would lose pages.

    """
    found, path = links, "$._links"
    for name in ("next", "href"):
        if not found:
            return None
        if not isinstance(found, dict):
            raise DecodeError("The link to the next page cannot be read.", path=path)
        found, path = found.get(name), f"{path}.{name}"
    if found is not None and not isinstance(found, str):
        raise DecodeError("The link to the next page cannot be read.", path=path)
    return found or None


def follow(base: URL, href: str) -> str:
    """A link as a path with its query, byte for byte, once it is known to stay within the API.

    Raises:
        PaginationError: it leads to another origin, or out of the API's base path.

    """
    origin = _ORIGIN.match(href)[0]  # type: ignore[index]  # it may be empty, so it always matches
    if _UNFIT.search(href) or (origin and not _same_origin(base, origin)):
        raise PaginationError("The link to the next page leads to another server and was not followed.", url=bare(href))
    relative = href[len(origin) :].partition("#")[0]
    path = relative.partition("?")[0]
    # Spelled as in the base URL too, because it is cut off there and put before the path again.
    inside = path.startswith(base.raw_path.rstrip("/") + "/")
    if not inside or "\\" in unquote(path) or ".." in unquote(path).split("/"):
        raise PaginationError("The link to the next page leads out of the API and was not followed.", url=bare(href))
    return relative


def _same_origin(base: URL, origin: str) -> bool:
    try:
        url = URL(origin)
    except ValueError:
        return False
    return "@" not in origin and (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)


def bare(href: str) -> str:
    """A link fit to be shown: without its query, which may hold an address."""
    return redact(href.partition("?")[0])[:200]


def target(base: URL, path: str, params: Mapping[str, Any] | None = None) -> str:
    """A path that a user gave, or the link of an answer, as a path below the base URL with its query.

    Raises:
        InvalidRequestError: it leads out of the API.

    """
    prefix = base.raw_path.rstrip("/")
    try:
        found = follow(base, path if path.startswith((prefix + "/", "http")) else f"{prefix}{path}")
    except PaginationError:
        found = ""
    if not found or not path.startswith(("/", "http")):
        raise InvalidRequestError(
            "The path must lie within the API, begin with a slash and be encoded: /contact_lists."
        )
    return with_query(found[len(prefix) :], params or {})


# --- error answers -----------------------------------------------------------------------------------------------

_CLASSES: dict[int, type[ApiError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    415: UnsupportedMediaTypeError,
    429: RateLimitError,
}
_SAID = 1_000
"""Characters of the server's own words in an exception's message."""
_HINTS = {
    401: "The access token is not valid here: authorize again, or hand in another one.",
    403: "A scope or a privilege is missing, the app is deactivated, or the path does not exist.",
    404: "Nothing has this id, or it is malformed.",
    429: "The limit of requests a second was reached again and again; another program may use the same API key.",
}


def error_details(body: bytes) -> tuple[ErrorDetail, ...]:
    """What an error body says, in any of its shapes: an array, an object, a bare message; nothing for HTML."""
    try:
        plain = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    entries = plain if isinstance(plain, list) else [plain]
    details = (_detail(entry) for entry in entries if isinstance(entry, dict))
    return tuple(detail for detail in details if detail != ErrorDetail())


def _detail(entry: dict[str, Any]) -> ErrorDetail:
    key, message = entry.get("error_key"), entry.get("error_message") or entry.get("message")
    return ErrorDetail(
        redact(key) if isinstance(key, str) else None,
        redact(message) if isinstance(message, str) else None,
    )


def is_quota(details: tuple[ErrorDetail, ...]) -> bool:
    """Whether a 429 means the day's quota: by its key, or by the sentence of a gateway that sends no key."""
    return any(
        detail.key == "quota_exceeded" or (detail.key is None and detail.message == "Limit Exceeded")
        for detail in details
    )


def is_throttle(details: tuple[ErrorDetail, ...]) -> bool:
    """Whether a 429 means the limit per second; one whose body says nothing comes from before the service too."""
    return not is_quota(details) and (not details or any(detail.key in {"throttled", None} for detail in details))


def api_error(
    status: int, headers: Mapping[str, str], body: bytes, *, resets_at: datetime, maybe_applied: bool = False
) -> ApiError:
    """The exception for an error answer, which shows neither tokens nor e-mail addresses that the server repeats."""
    details = error_details(body)
    fields: dict[str, Any] = {
        "status": status,
        "errors": details,
        "headers": {name: redact(value) for name, value in headers.items()},
        "body": redact(body[: 4 * BODY_LIMIT].decode(errors="replace")),
        "maybe_applied": maybe_applied,
    }
    cls = _CLASSES.get(status, ServerError if status >= 500 else ApiError)
    message = _message(status, details, maybe_applied=maybe_applied)
    if status == 429 and is_quota(details):
        return QuotaExceededError(quota_message(resets_at), resets_at=resets_at, **fields)
    if cls is RateLimitError:
        return RateLimitError(message, retry_after=retry_after(headers), **fields)
    if cls is ConflictError:
        found = _ID.search(" ".join(detail.message or "" for detail in details))
        return ConflictError(message, contact_id=found and found.group(), **fields)
    return cls(message, **fields)


def quota_message(resets_at: datetime) -> str:
    """What to tell a user whose quota is spent."""
    return f"The day's quota of requests is spent; no retry helps before {resets_at:%Y-%m-%d %H:%M} UTC."


def _message(status: int, details: tuple[ErrorDetail, ...], *, maybe_applied: bool) -> str:
    said = "; ".join(": ".join(filter(None, (detail.key, detail.message))) for detail in details[:5])[:_SAID]
    parts = [
        f"The API answered {status}" + (f" ({said})." if said else "."),
        "" if status == 429 and not is_throttle(details) else _HINTS.get(status, ""),
    ]
    if 300 <= status < 400:
        parts.append("A redirect is never followed with a token: check the base URL.")
    if maybe_applied:
        parts.append("The write may have taken effect: look before you send it again.")
    return " ".join(filter(None, parts))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a `Retry-After` header asks to wait, in seconds or as an HTTP date; else None."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value, re.ASCII):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    # One without a zone is naive here, and HTTP knows no other zone than UTC.
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - time.time())
