"""An operation of the API as a value, and its response."""

from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

import attrs

from cc_async.codec.decode import Decoded
from cc_async.codec.problems import Problem
from cc_async.http.retry import Repeat, RetryPolicy
from cc_async.limits.protocol import Turn
from cc_async.wire.links import bare

T = TypeVar("T")


@attrs.frozen
class Answer:
    """A complete answer of the API that is no error."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


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


@attrs.frozen(kw_only=True)
class Call(Generic[T]):
    """One request, and what the session is to do with it."""

    method: str
    path: str = attrs.field(repr=bare)
    """Below the base URL, encoded, with its query."""
    parse: Callable[[Answer], Decoded[T]]
    """Reads the answer; a DecodeError of it that says `malformed` counts as a broken connection."""
    body: bytes | None = attrs.field(default=None, repr=False)
    turn: Turn = attrs.field(factory=Turn)
    retry: RetryPolicy | None = None
    """Instead of the session's."""
    repeat: Repeat | None = None
    """Instead of what the method and the path say."""
    on_resend: Callable[[], None] | None = None
    """Called at the moment the request is sent again."""
