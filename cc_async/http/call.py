"""An operation of the API as a value, and its response."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import aiohttp
import attrs

from cc_async.codec.decode import Decoded
from cc_async.codec.problems import Problem
from cc_async.errors import ApiError
from cc_async.http.retry import Idempotency, RetryPolicy, is_write
from cc_async.limits.protocol import Turn
from cc_async.wire.links import without_query

T = TypeVar("T")


@attrs.frozen
class RawResponse:
    """A complete, successful response of the API."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    stream: aiohttp.ClientResponse | None = attrs.field(default=None, repr=False)
    """The response itself with its body unread, if the call asked for that."""


class _Triple(NamedTuple, Generic[T]):
    data: T
    status: int
    headers: Mapping[str, str]


class ApiResponse(_Triple[T]):
    """The data of a response with its status code and headers; also unpacks as these three.

        data, status, headers = await cc.contacts.with_http_info.get(contact_id)

    `problems` lists the values that could not be read: fields became None, entries of lists were left out.
    """

    problems: tuple[Problem, ...] = ()

    def __new__(
        cls, data: T, status: int, headers: Mapping[str, str], problems: tuple[Problem, ...] = ()
    ) -> "ApiResponse[T]":
        """Create it from its parts."""
        response = super().__new__(cls, data, status, headers)  # type: ignore[type-var]  # of generic named tuples
        response.problems = problems
        return response

    def __repr__(self) -> str:
        return f"ApiResponse(data={type(self.data).__name__}, status={self.status})"


def _by_method(call: "Call[Any]") -> Idempotency:
    return Idempotency.UNSAFE if is_write(call.method) else Idempotency.SAFE


@attrs.frozen(kw_only=True)
class Call(Generic[T]):
    """An operation of the API: one request, how to read its response, and how safe it is to repeat."""

    operation: str
    """Its name for observers, such as `contacts.get`."""
    method: str
    path: str = attrs.field(repr=without_query)
    """The path below the base URL, encoded, with its query."""
    parse: Callable[[RawResponse], Decoded[T]]
    """Parses the response; a DecodeError marked as `malformed` counts as a broken connection."""
    idempotency: Idempotency = attrs.field(default=attrs.Factory(_by_method, takes_self=True))
    """Whether it may be repeated after the server may have carried it out; by default, only reads may."""
    body: bytes | None = attrs.field(default=None, repr=False)
    content_type: str = "application/json"
    """The media type of the body."""
    accept: str = "application/json"
    streamed: bool = False
    """Leave the body of the response unread; the caller must close the response."""
    succeeded_before: Callable[[RawResponse], bool] | None = None
    """Whether an error response to a repeated request shows that an earlier attempt succeeded.

    `parse` is then given that response with an empty body.
    """
    refine: Callable[[ApiError], ApiError] | None = None
    """Replaces the error by a more specific one that only this operation can recognise."""
    turn: Turn = attrs.field(factory=Turn)
    retry: RetryPolicy | None = None
    """Replaces the retry policy of the session."""
    on_retry: Callable[[], None] | None = None
    """Called just before the request is repeated."""
