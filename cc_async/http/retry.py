"""The retry policy: when a failed request is repeated."""

import enum
import random
import warnings
from collections.abc import Callable
from typing import Any

import attrs

from cc_async.errors import (
    ApiError,
    BulkQueueFullError,
    ConflictError,
    ConstantContactError,
    DecodeError,
    InvalidRequestError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    TransportError,
)
from cc_async.wire.errors import is_throttle


class Idempotency(enum.Enum):
    """Whether a request may be repeated if the server may already have carried it out. See `RetryPolicy`."""

    SAFE = enum.auto()
    """Repeating it has no further effect."""
    OPT_IN = enum.auto()
    """Repeating it does not harm the data but may send another e-mail, so the retry policy must permit it."""
    UNSAFE = enum.auto()
    """Repeating it may create, mail or delete something twice, or its effect is unknown."""


_READS = {"GET", "HEAD", "OPTIONS"}


def is_write(method: str) -> bool:
    """Whether a request of this method may change something on the server."""
    return method not in _READS


def _positive(instance: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not value > 0:
        raise InvalidRequestError(f"{type(instance).__name__}.{attribute.name} must be greater than 0.")


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often, and after what pause, a failed request is repeated. All times are in seconds.

        policy = RetryPolicy(attempts=10, total_time=600)
        async with ConstantContact(oauth, retry=policy) as client:
            ...

    A request that the server has certainly not carried out (429, a conflict with a simultaneous request, no connection)
    is always repeated. One that it may have carried out (5xx, a broken connection, a truncated response) is repeated
    only if that is safe.

    Raises:
        InvalidRequestError: A value is not greater than 0.

    """

    attempts: int = attrs.field(default=6, validator=_positive)
    """The maximum number of attempts."""
    total_time: float = attrs.field(default=120.0, validator=_positive)
    """No attempt starts once the attempts and the pauses between them have taken this long.

    Waiting for the rate limiter does not count.
    """
    first_pause: float = attrs.field(default=0.5, validator=_positive)
    """The longest pause before the second attempt; it doubles with each attempt."""
    longest_pause: float = attrs.field(default=20.0, validator=_positive)
    longest_retry_after: float = attrs.field(default=60.0, validator=_positive)
    """The longest `Retry-After` of a server that is honoured."""
    retry_create_or_update: bool = False
    """Also retry `create_or_update` when it may have been applied, which can send a second confirmation e-mail."""
    repeat_sign_up: bool = attrs.field(default=False, repr=False)
    """Deprecated: use `retry_create_or_update`."""

    def __attrs_post_init__(self) -> None:
        if self.repeat_sign_up and not self.retry_create_or_update:
            warnings.warn("repeat_sign_up is now called retry_create_or_update.", DeprecationWarning, stacklevel=3)
            object.__setattr__(self, "retry_create_or_update", True)

    def pause(
        self,
        failure: ConstantContactError,
        *,
        idempotency: Idempotency,
        attempt: int,
        elapsed: float,
        retry_after: float | None = None,
        chance: Callable[[], float] = random.random,
    ) -> float | None:
        """Return the seconds to wait before the next attempt, or None to give up and raise `failure`.

        `attempt` counts from 1, `elapsed` is the time that attempts and pauses have taken, and `chance` provides full
        jitter: the pause is anything between 0 and its maximum, so that many clients do not retry simultaneously. A
        throttled request waits at the limiter instead, together with all others.
        """
        if attempt >= self.attempts or not self._worth(failure, idempotency):
            return None
        # Beyond 2 ** 60 every pause has its maximum, and a float would overflow.
        longest = min(self.longest_pause, self.first_pause * 2.0 ** min(attempt - 1, 60))
        pause = 0.0 if isinstance(failure, RateLimitError) else chance() * longest
        if retry_after is not None:
            pause += min(retry_after, self.longest_retry_after)
        return pause if elapsed + pause <= self.total_time else None

    def _worth(self, failure: ConstantContactError, idempotency: Idempotency) -> bool:
        if isinstance(failure, (QuotaExceededError, BulkQueueFullError)):
            return False
        if isinstance(failure, RateLimitError):
            return is_throttle(failure.errors) or failure.retry_after is not None
        if isinstance(failure, ConflictError):
            return failure.simultaneous
        if isinstance(failure, TransportError) and not failure.maybe_applied:
            return not failure.permanent
        passing = (
            isinstance(failure, (TransportError, ServerError))
            or (isinstance(failure, ApiError) and failure.status == 408)
            or (isinstance(failure, DecodeError) and failure.malformed)
        )
        opted_in = idempotency is Idempotency.OPT_IN and self.retry_create_or_update
        return passing and (idempotency is Idempotency.SAFE or opted_in)
