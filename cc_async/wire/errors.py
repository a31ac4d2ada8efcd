"""Error responses and their headers, as pure functions."""

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from cc_async._secrets import redact
from cc_async.errors import (
    BODY_LIMIT,
    ApiError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ErrorDetail,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    UnsupportedMediaTypeError,
)

_ID = re.compile(r"\b[0-9a-f]{4,}(?:-[0-9a-f]{4,}){4}\b", re.IGNORECASE)  # not every id is a valid UUID
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
"""Characters of the server's text that are quoted in the message of an exception."""
_HINTS = {
    401: "The access token is not valid here: authorize again, or hand in another one.",
    403: "A scope or a privilege is missing, the app is deactivated, or the path does not exist.",
    404: "Nothing has this id, or it is malformed.",
    429: "The limit of requests a second was reached again and again; another program may use the same API key.",
}


def error_details(body: bytes) -> tuple[ErrorDetail, ...]:
    """Parse an error body in any of its shapes: an array, an object, or a bare message; empty for HTML."""
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
    """Whether a 429 means the daily quota, by its key or by the message of a gateway that sends no key."""
    return any(
        detail.key == "quota_exceeded" or (detail.key is None and detail.message == "Limit Exceeded")
        for detail in details
    )


def is_throttle(details: tuple[ErrorDetail, ...]) -> bool:
    """Whether a 429 means the limit per second; so does one with an empty body, sent by a gateway."""
    return not is_quota(details) and (not details or any(detail.key in {"throttled", None} for detail in details))


def api_error(
    status: int, headers: Mapping[str, str], body: bytes, *, resets_at: datetime, maybe_applied: bool = False
) -> ApiError:
    """Create the exception for an error response, without the tokens and e-mail addresses that it may quote."""
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
    """Return the message for an exhausted quota."""
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
        parts.append("The write may have been applied; check before retrying.")
    return " ".join(filter(None, parts))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait from a `Retry-After` header, given in seconds or as an HTTP date, or None."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value, re.ASCII):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    # A date without a zone is parsed as naive; HTTP dates are always in UTC.
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time.time())
