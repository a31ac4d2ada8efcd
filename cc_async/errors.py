"""Every exception that cc_async raises on purpose.

::

    ConstantContactError
    ├─ ApiError                     the API returned an error
    │  ├─ BadRequestError           400
    │  ├─ AuthenticationError       401
    │  ├─ PermissionDeniedError     403
    │  ├─ NotFoundError             404
    │  ├─ ConflictError             409
    │  ├─ UnsupportedMediaTypeError 415
    │  ├─ RateLimitError            429
    │  │  ├─ QuotaExceededError     429, the daily quota is exhausted
    │  │  └─ BulkQueueFullError     429, too many bulk jobs are waiting
    │  └─ ServerError               5xx
    ├─ TransportError               the network failed
    │  └─ RequestTimeoutError       (also a TimeoutError)
    ├─ AuthorizationError           an authorization flow failed
    │  └─ TokenRefreshError         no new access token was granted
    │     └─ ReauthorizationRequiredError  a person must authorize again
    ├─ TokenStoreError              the token store failed
    │  └─ LockLostError             its lock was lost before anything was sent
    ├─ RateLimiterError             a shared rate limiter failed before anything was sent
    ├─ InvalidRequestError          refused before it was sent (also a ValueError)
    ├─ ClientClosedError            the client was closed
    ├─ DecodeError                  the response is not what the API documents
    ├─ PaginationError              a link to the next page must not be followed
    ├─ SegmentNotReadyError         a segment was still being computed at the deadline
    ├─ ContactChangedError          somebody else changed the contact meanwhile
    ├─ ActivityFailedError          a bulk job ended without its result
    ├─ ImportJournalError           the journal of an import cannot be used
    ├─ MirrorError                  the database of a mirror failed or is in use
    └─ ActivityTimeoutError         a bulk job was unfinished at the deadline (also a TimeoutError)

All of them can be pickled, and none holds a token or an e-mail address: text from servers is redacted.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from cc_async._headers import Headers

BODY_LIMIT = 4_096
"""How many characters of the body of an error response an exception keeps."""


@attrs.frozen
class ErrorDetail:
    """One entry of an error response: a machine-readable key and a sentence, either of which may be missing.

    See `ApiError.errors`.
    """

    key: str | None = None
    message: str | None = None


class ConstantContactError(Exception):
    """The root of all exceptions of this library. "Errors" in the README shows how to handle it."""

    maybe_applied: bool = False
    """True where a write may have been applied although the call failed; check before retrying."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by state, because BaseException cannot replay keyword-only arguments."""
        return _rebuild, (type(self), self.args, self.__dict__.copy())


def _rebuild(cls: type[ConstantContactError], args: tuple[Any, ...], state: dict[str, Any]) -> ConstantContactError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ApiError(ConstantContactError):
    """The API returned an error status; raised itself for statuses that have no subclass.

    "Errors" in the README shows how to handle it.
    """

    status: int
    """The HTTP status code."""
    errors: tuple[ErrorDetail, ...]
    """Every error in the body, in order; empty for HTML and empty bodies."""
    headers: Mapping[str, str]
    """The headers of the response; look-ups ignore case."""
    body: str
    """The start of the body, redacted, at most `BODY_LIMIT` characters."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        errors: tuple[ErrorDetail, ...] = (),
        headers: Mapping[str, str] | None = None,
        body: str = "",
        maybe_applied: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.errors = errors
        self.headers = Headers(headers or {})
        self.body = body[:BODY_LIMIT]
        self.maybe_applied = maybe_applied

    @property
    def error_key(self) -> str | None:
        """The first machine-readable key of the body, such as `contacts.api.not_found`."""
        return self.errors[0].key if self.errors else None

    @property
    def error_message(self) -> str | None:
        """The first error message of the body."""
        return self.errors[0].message if self.errors else None

    @property
    def request_id(self) -> str | None:
        """The id to quote to the provider's support: `x-amzn-RequestId`, else `x-eig-tracking-id`."""
        return self.headers.get("x-amzn-RequestId") or self.headers.get("x-eig-tracking-id")


class BadRequestError(ApiError):
    """400: the request is malformed or breaks a rule of validation; `error_message` names the rule.

    What is known to be invalid beforehand raises `InvalidRequestError` instead.
    """


class AuthenticationError(ApiError):
    """401 even with a fresh token: the token is not for this API, or was revoked.

    See `OAuth2`, which keeps a token fresh.
    """


class PermissionDeniedError(ApiError):
    """403: a scope or a privilege is missing, the app is deactivated, or the path does not exist.

    See `account.privileges`.
    """


class NotFoundError(ApiError):
    """404: nothing has this id, or the id is malformed. `contacts.find` and `lists.find` return None instead."""


class ConflictError(ApiError):
    """409: another contact (deleted ones count) has this address, or requests changed one contact simultaneously.

    See `contacts.create_or_get`; "Errors" in the README handles it.
    """

    contact_id: str | None
    """The id of the conflicting contact, if the message names it."""
    simultaneous: bool = False
    """Whether another request was changing the contact, so that nothing was done and a later attempt may succeed."""

    def __init__(self, message: str, *, contact_id: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.contact_id = contact_id


class UnsupportedMediaTypeError(ApiError):
    """415: the body was not sent as JSON. See `ApiError.body`."""


class RateLimitError(ApiError):
    """429 after the retry policy has given up. See `RetryPolicy`."""

    retry_after: float | None
    """Seconds that the server asked to wait, if it did."""

    def __init__(self, message: str, *, retry_after: float | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.retry_after = retry_after


class QuotaExceededError(RateLimitError):
    """The daily quota is exhausted, according to the server or our own count; no retry helps before `resets_at`.

    See `RateLimiter`; "Errors" in the README handles it.
    """

    resets_at: datetime
    """When to try again: the next 00:00 UTC, or in a minute if the server reported it just after midnight."""

    def __init__(self, message: str, *, resets_at: datetime, status: int = 429, **fields: Any) -> None:
        super().__init__(message, status=status, **fields)
        self.resets_at = resets_at


class BulkQueueFullError(RateLimitError):
    """429: the account has more than 1,000 bulk jobs waiting, those of other applications included.

    Not retried, because the queue takes minutes to drain: look at `activities.list(state="processing")` and try later.
    """


class ServerError(ApiError):
    """5xx: the service, or a proxy in front of it, failed. See `RetryPolicy` for what is retried."""


class TransportError(ConstantContactError):
    """No complete response arrived: the connection could not be made or broke, or the TLS handshake failed.

    See `RetryPolicy` for what is retried.
    """

    permanent: bool
    """True if trying again cannot help, as with a certificate that is not trusted."""

    def __init__(self, message: str, *, maybe_applied: bool = False, permanent: bool = False) -> None:
        super().__init__(message)
        self.maybe_applied = maybe_applied
        self.permanent = permanent


class RequestTimeoutError(TransportError, TimeoutError):
    """One attempt took longer than the client's `timeout`. See `ConstantContact`."""


class AuthorizationError(ConstantContactError):
    """An authorization flow ended without a token: denied, expired, or a state that does not match.

    See `OAuth2.exchange` and `OAuth2.poll_device_authorization`.
    """

    error: str | None
    """The machine-readable code of the authorization server, such as `access_denied`."""

    def __init__(self, message: str, *, error: str | None = None) -> None:
        super().__init__(message)
        self.error = error


class TokenRefreshError(AuthorizationError):
    """No new access token was granted; a later call tries again. See `OAuth2`."""


class ReauthorizationRequiredError(TokenRefreshError):
    """The refresh token is used, revoked or expired (`invalid_grant`): a person must authorize again.

    See `OAuth2.authorization_url`.
    """


class TokenStoreError(ConstantContactError):
    """The token store could not be read, written or locked. See `TokenStore`."""


class LockLostError(TokenStoreError):
    """The lock of a token store expired, or passed to another process, before anything was sent.

    See `TokenStore.lock`.
    """


class RateLimiterError(ConstantContactError):
    """A shared rate limiter gave no permission in time, for example because its server is away; nothing was sent.

    See `Limiter`.
    """


class InvalidRequestError(ConstantContactError, ValueError):
    """Refused before anything was sent, because the request is invalid; the message names the rule.

    What only the server can refuse raises `BadRequestError`.
    """


class ClientClosedError(ConstantContactError):
    """The client was closed before or during the call. See `ConstantContact.close`."""


class DecodeError(ConstantContactError):
    """The response is not JSON, or does not have the documented shape.

    A single value that cannot be read is a `Problem`, unless the client is strict.
    """

    path: str
    """The place in the response, such as `$.contacts[3].created_at`."""
    malformed: bool
    """True if the body is not JSON at all: truncated, or an HTML page."""

    def __init__(self, message: str, *, path: str = "$", malformed: bool = False) -> None:
        super().__init__(message)
        self.path = path
        self.malformed = malformed


class PaginationError(ConstantContactError):
    """A link to the next page repeats or leads away from the API: following it would loop or leak. See `Pager`."""

    url: str
    """The link as the server gave it, without its query, which may contain an address."""

    def __init__(self, message: str, *, url: str) -> None:
        super().__init__(message)
        self.url = url


class SegmentNotReadyError(ConstantContactError):
    """The API was still computing the segment (202) when the deadline came; ask again later. See `contacts.list`."""


class ContactChangedError(ConstantContactError):
    """Somebody else has changed the contact since the given time; nothing was written. Read it again and decide.

    See `unless_changed_since` of `contacts.patch`.
    """

    contact_id: str

    def __init__(self, message: str, *, contact_id: str) -> None:
        super().__init__(message)
        self.contact_id = contact_id


class ActivityFailedError(ConstantContactError):
    """A bulk job ended without the result that was asked for: it failed, was cancelled, or timed out.

    See `Export.save`.
    """

    activity: Any
    """The latest known `Activity`; its `activity_errors` may say why."""

    def __init__(self, message: str, *, activity: Any) -> None:
        super().__init__(message)
        self.activity = activity


class ImportJournalError(ConstantContactError):
    """The journal of an import could not be read or written, belongs to other rows, or is in use. Nothing was sent.

    See `contacts.import_many`.
    """


class MirrorError(ConstantContactError):
    """The database of a mirror failed, is in use, or holds something else; see "The tables of a mirror" in the guide.

    What was stored before is complete, and the next synchronization goes on from there.
    """


class ActivityTimeoutError(ConstantContactError, TimeoutError):
    """A bulk job was unfinished at the deadline. It continues and may still succeed: call `activities.wait` again."""

    activity: Any
    """The latest known `Activity`."""

    def __init__(self, message: str, *, activity: Any) -> None:
        super().__init__(message)
        self.activity = activity
