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
    """A complete answer of the API that is no error."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    stream: aiohttp.ClientResponse | None = attrs.field(default=None, repr=False)
    """The response itself, its body still to be read, where the call asked for that."""


class _Triple(NamedTuple, Generic[T]):
    data: T
    status: int
    headers: Mapping[str, str]


class ApiResponse(_Triple[T]):
    """The data of an answer with its status code and its headers, which also unpacks as these three.

    `problems` tells what of the answer could not be read: fields became None, entries of lists were left out.
    """

    problems: tuple[Problem, ...] = ()

    def __new__(
        cls, data: T, status: int, headers: Mapping[str, str], problems: tuple[Problem, ...] = ()
    ) -> "ApiResponse[T]":
        """Make one of its parts."""
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

    method: str
    path: str = attrs.field(repr=without_query)
    """Below the base URL, encoded, with its query."""
    parse: Callable[[RawResponse], Decoded[T]]
    """Reads the response; a DecodeError of it that says `malformed` counts as a broken connection."""
    idempotency: Idempotency = attrs.field(default=attrs.Factory(_by_method, takes_self=True))
    """Whether it may be sent again once the server may have carried it out; by default only reads may."""
    body: bytes | None = attrs.field(default=None, repr=False)
    content_type: str = "application/json"
    """Of the body."""
    accept: str = "application/json"
    streamed: bool = False
    """Leave the body of the response to be read by the caller, who must then close it."""
    succeeded_before: Callable[[RawResponse], bool] | None = None
    """Whether an error response to a repeated request shows that an earlier attempt succeeded.

    `parse` is then given that response with an empty body.
    """
    refine: Callable[[ApiError], ApiError] | None = None
    """Makes a more specific error of an error response, where only this operation can tell."""
    turn: Turn = attrs.field(factory=Turn)
    retry: RetryPolicy | None = None
    """Instead of the session's."""
    on_retry: Callable[[], None] | None = None
    """Called at the moment the request is sent again."""
