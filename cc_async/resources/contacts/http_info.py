"""The operations on contacts with the status code and the headers of their responses."""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from cc_async.http.session import Session
from cc_async.resources._operation import first_page, raw
from cc_async.resources.contacts import calls
from cc_async.resources.contacts.stream import ContactStreams
from cc_async.streams.pager import Page, Pager

P = ParamSpec("P")
T = TypeVar("T")


def _first_page(
    stream: Callable[Concatenate[Any, P], Pager[T]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, Page[T]]]:
    """Make a method that returns the first page of what another method streams."""

    async def operation(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> Page[T]:
        kwargs["read_ahead"] = 0
        return await first_page(stream(self, *args, **kwargs))

    vars(operation).update(__signature__=inspect.signature(stream).replace(return_annotation=Page))
    operation.__name__, operation.__doc__ = stream.__name__, f"Return the first page of `{stream.__qualname__}`."
    return operation


class ContactsWithHttpInfo:
    """The operations of `Contacts`, each with the status code and the headers of its response.

    After `create_or_update` 201 means created and 200 updated. After `delete` 404 means that a repeated request found
    the contact gone, because the first one had succeeded. `id_xrefs` takes at most 500 ids here, for one request.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    create = raw(calls.create)
    create_or_update = raw(calls.create_or_update)
    delete = raw(calls.delete)
    get = raw(calls.get)
    counts = raw(calls.counts)
    id_xrefs = raw(calls.id_xrefs)
    sms_engagement_history = raw(calls.sms_engagement_history)
    update = raw(calls.update)
    resubscribe = raw(calls.resubscribe)
    list = _first_page(ContactStreams.list)
