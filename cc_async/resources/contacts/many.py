"""One operation on many contacts, a request for each or two."""

from collections.abc import AsyncIterable, Callable, Coroutine, Hashable, Iterable
from typing import Any, TypeAlias, TypedDict, TypeVar

import attrs

from cc_async.errors import InvalidRequestError
from cc_async.http.call import Call
from cc_async.http.session import Session
from cc_async.limits.protocol import Turn
from cc_async.models.contact_requests import (
    ContactChanges,
    CreateContactRequest,
    CreateOrUpdateContactRequest,
    EmailAddressInput,
)
from cc_async.models.contacts import Contact, CreateOrUpdateContactResult
from cc_async.resources._checks import StrOrIterable
from cc_async.resources._lookup import Locks
from cc_async.resources.contacts import calls
from cc_async.resources.contacts.editing import Edit, patch
from cc_async.streams.many import CONCURRENCY, Many
from cc_async.wire.addresses import normalized_address

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
Items: TypeAlias = Iterable[ItemT] | AsyncIterable[ItemT]


class ManyOptions(TypedDict, total=False):
    """How the operations on many contacts run. See `Many`, and `contacts.create_many`, which takes them."""

    concurrency: int
    """How many calls may be in flight; 12 by default, which is three seconds of latency at four requests a second."""
    as_completed: bool
    """Yield the outcomes as they come in, rather than in the order of the items."""
    background: bool
    """Give priority to direct calls, as streams do."""


def email_key(request: CreateContactRequest | CreateOrUpdateContactRequest) -> Hashable:
    """Return what identifies a contact to the API, which refuses simultaneous requests for the same one."""
    email = getattr(request, "email_address", None)
    address = email.address if isinstance(email, EmailAddressInput) else email
    return normalized_address(address) if isinstance(address, str) else None


def _id_key(contact_id: Any) -> Hashable:
    return contact_id.strip().casefold() if isinstance(contact_id, str) else None


def _is_pair(item: Any) -> bool:
    return isinstance(item, tuple | list) and len(item) == 2


class ManyContacts:
    """The operations on many contacts, one or two requests each."""

    _session: Session
    _locks: Locks

    def create_many(
        self,
        requests: Items[CreateContactRequest],
        *,
        concurrency: int = CONCURRENCY,
        as_completed: bool = False,
        background: bool = False,
    ) -> Many[CreateContactRequest, Contact]:
        """Create contacts, one request each; see `Many` for the outcomes.

        Requests with the same address are sent one after the other. `concurrency` is how many calls may be in flight;
        `as_completed` yields outcomes as they come in; `background` gives priority to direct calls.
        """
        send = self._sender(calls.create)
        options = ManyOptions(concurrency=concurrency, as_completed=as_completed, background=background)
        return _many(requests, send, options, email_key)

    def create_or_update_many(
        self,
        requests: Items[CreateOrUpdateContactRequest],
        *,
        concurrency: int = CONCURRENCY,
        as_completed: bool = False,
        background: bool = False,
    ) -> Many[CreateOrUpdateContactRequest, CreateOrUpdateContactResult]:
        """Sign contacts up, one request each; see `create_or_update` for what that does to their consent.

        The options are those of `create_many`.
        """
        send = self._sender(calls.create_or_update)
        options = ManyOptions(concurrency=concurrency, as_completed=as_completed, background=background)
        return _many(requests, send, options, email_key)

    def delete_many(
        self,
        contact_ids: Items[str],
        *,
        concurrency: int = CONCURRENCY,
        as_completed: bool = False,
        background: bool = False,
    ) -> Many[str, None]:
        """Delete contacts, one request each; the options are those of `create_many`."""
        send = self._sender(calls.delete)
        options = ManyOptions(concurrency=concurrency, as_completed=as_completed, background=background)
        return _many(contact_ids, send, options, _id_key)

    def get_many(
        self,
        contact_ids: Items[str],
        *,
        include: StrOrIterable = (),
        concurrency: int = CONCURRENCY,
        as_completed: bool = False,
        background: bool = False,
    ) -> Many[str, Contact]:
        """Return contacts, one request each; for most of an account, `list` needs 500 times fewer.

        The options are those of `create_many`.
        """
        names = include if isinstance(include, str) else tuple(include)

        def build(contact_id: str) -> Call[Contact]:
            return calls.get(contact_id, include=names)

        options = ManyOptions(concurrency=concurrency, as_completed=as_completed, background=background)
        return _many(contact_ids, self._sender(build), options)

    def patch_many(
        self,
        patches: Items[tuple[str, ContactChanges]],
        *,
        concurrency: int = CONCURRENCY,
        as_completed: bool = False,
        background: bool = False,
    ) -> Many[tuple[str, ContactChanges], Contact]:
        """Patch contacts, given as pairs of id and changes, two requests each.

        The time between the GET and the PUT of one contact grows with `concurrency`: see `patch` for the risk. The
        options are those of `create_many`.
        """

        async def work(item: tuple[str, ContactChanges], turn: Turn) -> Contact:
            if not _is_pair(item):
                raise InvalidRequestError("A patch must be a pair of a contact id and the changes.")
            edit = Edit(session=self._session, locks=self._locks, contact_id=item[0], background=turn.stream)
            return await patch(edit, item[1])

        options = ManyOptions(concurrency=concurrency, as_completed=as_completed, background=background)
        return _many(patches, work, options, lambda item: _id_key(item[0]) if _is_pair(item) else None)

    def _sender(self, build: Callable[[ItemT], Call[ResultT]]) -> Callable[[ItemT, Turn], Coroutine[Any, Any, ResultT]]:
        async def send(item: ItemT, turn: Turn) -> ResultT:
            return (await self._session.request(attrs.evolve(build(item), turn=turn))).data

        return send


def _many(
    items: Items[ItemT],
    work: Callable[[ItemT, Turn], Coroutine[Any, Any, ResultT]],
    options: ManyOptions,
    key: Callable[[ItemT], Hashable] = lambda _: None,
) -> Many[ItemT, ResultT]:
    if isinstance(items, str):
        raise InvalidRequestError("items must be several, each as an entry of a list: a string is one.")
    background = options.get("background", False)
    return Many(
        items,
        lambda item: work(item, Turn(stream=background)),
        concurrency=options.get("concurrency", CONCURRENCY),
        as_completed=options.get("as_completed", False),
        key=key,
    )
