"""When a failed request is sent again: a value with one pure decision."""

import enum
import random
import re
from collections.abc import Callable
from typing import Any

import attrs

from cc_async.errors import (
    ApiError,
    ConstantContactError,
    DecodeError,
    InvalidRequestError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    TransportError,
)
from cc_async.wire.errors import is_throttle


class Repeat(enum.Enum):
    """What may be done with a request that the server may already have carried out."""

    SAFE = "repeating it changes nothing more: GET, PUT of a contact, DELETE"
    ON_REQUEST = "the sign-up: repeating it can send another confirmation mail"
    NEVER = "POST /contacts creates again, resubscribe mails again, and of other writes nothing is known"


_READS = {"GET", "HEAD", "OPTIONS"}


def is_write(method: str) -> bool:
    """Whether a request of this method may change something on the server."""
    return method not in _READS


def repeat_of(method: str, path: str) -> Repeat:
    """The kind of a request, by its method and its path below the base URL."""
    if method == "DELETE" or not is_write(method):
        return Repeat.SAFE
    route = path.partition("?")[0].rstrip("/")
    if method == "PUT" and re.fullmatch(r"/contacts/[^/]+", route):
        return Repeat.SAFE
    if method == "POST" and route == "/contacts/sign_up_form":
        return Repeat.ON_REQUEST
    return Repeat.NEVER


def _positive(instance: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not value > 0:
        raise InvalidRequestError(f"{type(instance).__name__}.{attribute.name} must be greater than 0.")


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often, and after what pause, a failed request is sent again. All times are seconds.

    A request that the server surely did not carry out (429, or no connection was made) is repeated whatever it is. One
    that it may have carried out (5xx, a broken connection, an answer cut short) is repeated only if that is safe.
    Raises InvalidRequestError for values that are not greater than 0.
    """

    attempts: int = attrs.field(default=6, validator=_positive)
    """How often one request is sent at most."""
    total_time: float = attrs.field(default=120.0, validator=_positive)
    """No attempt begins once the attempts and the pauses between them have taken this long.

    The wait for a turn at the rate limiter does not count, because that is how busy the client is.
    """
    first_pause: float = attrs.field(default=0.5, validator=_positive)
    """The longest pause before the second attempt; it doubles with each attempt."""
    longest_pause: float = attrs.field(default=20.0, validator=_positive)
    longest_retry_after: float = attrs.field(default=60.0, validator=_positive)
    """How much of a server's `Retry-After` is honoured."""
    repeat_sign_up: bool = False
    """Repeat `create_or_update` too when it may have been applied, which can send a second confirmation mail."""

    def pause(
        self,
        failure: ConstantContactError,
        *,
        repeat: Repeat,
        attempt: int,
        elapsed: float,
        retry_after: float | None = None,
        chance: Callable[[], float] = random.random,
    ) -> float | None:
        """The seconds to wait before the request is sent again, or None to give up and raise `failure`.

        `attempt` counts from 1, `elapsed` is what attempts and pauses have taken, `chance` gives the jitter: the pause
        is spread over everything between 0 and its longest, so that many clients do not come back at the same moment. A
        throttled request waits at the limiter instead, where all wait together.
        """
        if attempt >= self.attempts or not self._worth(failure, repeat):
            return None
        # Beyond 2 ** 60 every pause is the longest, and a float soon ends.
        longest = min(self.longest_pause, self.first_pause * 2.0 ** min(attempt - 1, 60))
        pause = 0.0 if isinstance(failure, RateLimitError) else chance() * longest
        if retry_after is not None:
            pause += min(retry_after, self.longest_retry_after)
        return pause if elapsed + pause <= self.total_time else None

    def _worth(self, failure: ConstantContactError, repeat: Repeat) -> bool:
        if isinstance(failure, QuotaExceededError):
            return False
        if isinstance(failure, RateLimitError):
            return is_throttle(failure.errors) or failure.retry_after is not None
        if isinstance(failure, TransportError) and not failure.maybe_applied:
            return not failure.permanent
        passing = (
            isinstance(failure, (TransportError, ServerError))
            or (isinstance(failure, ApiError) and failure.status == 408)
            or (isinstance(failure, DecodeError) and failure.malformed)
        )
        return passing and (repeat is Repeat.SAFE or (repeat is Repeat.ON_REQUEST and self.repeat_sign_up))
