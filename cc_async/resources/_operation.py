"""Building blocks of operations: parsing a response, deleting, and the view with status and headers."""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, get_args

from cc_async.codec.decode import Decoded, decode
from cc_async.http.call import ApiResponse, Call, RawResponse
from cc_async.http.retry import Idempotency
from cc_async.http.session import Session
from cc_async.models.activities import Activity
from cc_async.streams.pager import Page, Pager
from cc_async.wire.errors import error_details

P = ParamSpec("P")
T = TypeVar("T")


class _HasSession(Protocol):
    _session: Session


def raw(build: Callable[P, Call[T]]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, ApiResponse[T]]]:
    """Turn a function that builds a call into a method that returns the status code and headers with the data."""

    async def operation(self: _HasSession, /, *args: P.args, **kwargs: P.kwargs) -> ApiResponse[T]:
        return await self._session.request(build(*args, **kwargs))

    # Not `functools.wraps`, which does not know `self`: `help` would hide the first parameter of a bound method.
    signature = inspect.signature(build)
    (data,) = get_args(signature.return_annotation)
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY), *signature.parameters.values()]
    shown = signature.replace(parameters=parameters, return_annotation=ApiResponse[data])  # type: ignore[valid-type]  # known at run time only
    vars(operation).update(__signature__=shown)
    operation.__name__, operation.__doc__ = build.__name__, build.__doc__
    return operation


async def first_page(pager: Pager[T]) -> Page[T]:
    """Return the first page of a stream."""
    async with pager:
        return await anext(pager.pages())


def reads(cls: type[T]) -> Callable[[RawResponse], Decoded[T]]:
    """Return a function that parses a response into a model."""
    return lambda response: decode(response.body, cls)


def nothing(_: RawResponse) -> Decoded[None]:
    """Ignore the body of a response without data."""
    return Decoded(None)


def _not_found(response: RawResponse) -> bool:
    return response.status == 404


def deletion(operation: str, path: str) -> Call[None]:
    """DELETE that takes effect at once."""
    return Call(
        operation=operation,
        method="DELETE",
        path=path,
        parse=nothing,
        idempotency=Idempotency.SAFE,
        succeeded_before=_not_found,
    )


def deletion_job(operation: str, path: str) -> Call[Activity]:
    """DELETE that starts a job; one that had already been done returns an `Activity` without an id."""
    return Call(
        operation=operation,
        method="DELETE",
        path=path,
        parse=lambda response: Decoded(Activity()) if response.status >= 300 else decode(response.body, Activity),
        idempotency=Idempotency.SAFE,
        succeeded_before=_already_deleted,
    )


def _already_deleted(response: RawResponse) -> bool:
    """Whether nothing has this id; for a deleted list that is a 400 with `list_id not found`."""
    said = " ".join(detail.message or "" for detail in error_details(response.body))
    return response.status == 404 or (response.status == 400 and said.rstrip(".").endswith("not found"))
