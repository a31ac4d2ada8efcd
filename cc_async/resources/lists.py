"""The contact lists of an account, see https://developer.constantcontact.com/api_guide/lists_overview.html."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import attrs

from cc_async.codec.decode import Decoded, decode, dumps
from cc_async.http.call import Call, RawResponse
from cc_async.http.retry import Idempotency
from cc_async.http.session import Session
from cc_async.models.activities import Activity
from cc_async.models.lists import ContactList, ListXref
from cc_async.resources._checks import StrOrIterable, checked_text, id_of, page_params, read_for_update
from cc_async.resources._collection import stream
from cc_async.resources._lookup import Locks, find_named, get_or_create
from cc_async.resources._operation import deletion_job, first_page, raw, reads
from cc_async.streams.collection import Collection
from cc_async.streams.merge import merge
from cc_async.streams.pager import Page, Pager
from cc_async.wire.urls import csv, quote_segment, with_query

_LISTS = Collection(
    operation="lists.list",
    path="/contact_lists",
    items="lists",
    model=ContactList,
    key=lambda found: found.list_id,
    total="lists_count",
    sent_again=("include_membership_count", "include_sms_membership_count"),
)
_XREFS_AT_MOST = 500
_Xrefs: TypeAlias = list[ListXref]  # named here because `list` means the method inside the class


@attrs.frozen
class _XrefsBody:
    xrefs: list[ListXref] | None = None


def _path(list_id: str | ContactList) -> str:
    return f"/contact_lists/{quote_segment(id_of(list_id, 'list_id'))}"


def _body(name: str, favorite: bool, description: str | None) -> bytes:
    body = {"name": _name(name), "favorite": favorite}
    return dumps(body if description is None else body | {"description": description})


def _name(name: str) -> str:
    return checked_text("The name of a list", name, at_most=255)


def create_list(name: str, *, favorite: bool = False, description: str | None = None) -> Call[ContactList]:
    """POST /contact_lists."""
    body = _body(name, favorite, description)
    return Call(operation="lists.create", method="POST", path="/contact_lists", body=body, parse=reads(ContactList))


def get_list(list_id: str | ContactList, *, include_membership_count: str | None = None) -> Call[ContactList]:
    """GET /contact_lists/{list_id}."""
    path = with_query(_path(list_id), {"include_membership_count": include_membership_count})
    return Call(operation="lists.get", method="GET", path=path, parse=reads(ContactList))


def update_list(
    list_id: str | ContactList, name: str, *, favorite: bool = False, description: str | None = None
) -> Call[ContactList]:
    """PUT /contact_lists/{list_id}."""
    return Call(
        operation="lists.update",
        method="PUT",
        path=_path(list_id),
        body=_body(name, favorite, description),
        parse=reads(ContactList),
        idempotency=Idempotency.SAFE,
    )


def delete_list(list_id: str | ContactList) -> Call[Activity]:
    """DELETE /contact_lists/{list_id}."""
    return deletion_job("lists.delete", _path(list_id))


def list_id_xrefs(sequence_ids: str | Iterable[str | int]) -> Call[list[ListXref]]:
    """GET /contact_lists/list_id_xrefs."""

    def parse(response: RawResponse) -> Decoded[list[ListXref]]:
        decoded = decode(response.body, _XrefsBody)
        return Decoded(decoded.value.xrefs or [], decoded.problems)

    ids = csv("sequence_ids", _split(sequence_ids), at_most=_XREFS_AT_MOST)
    return Call(
        operation="lists.id_xrefs",
        method="GET",
        path=with_query("/contact_lists/list_id_xrefs", {"sequence_ids": ids}),
        parse=parse,
    )


def _split(sequence_ids: str | Iterable[str | int]) -> list[str]:
    return [str(one) for one in (sequence_ids.split(",") if isinstance(sequence_ids, str) else sequence_ids)]


class Lists:
    """The lists that contacts can be on: at most 1,000, with unique names.

    Methods that take the id of a list also take a `ContactList`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._locks = Locks()

    @property
    def with_http_info(self) -> "ListsWithHttpInfo":
        """The same operations, which return the status code and headers with the data."""
        return ListsWithHttpInfo(self._session)

    def list(
        self,
        *,
        name: str | None = None,
        status: StrOrIterable | None = None,
        channel_type: str | None = None,
        include_count: bool = False,
        include_membership_count: str | None = None,
        include_sms_membership_count: bool = False,
        limit: int = 1_000,
        start: str | None = None,
    ) -> Pager[ContactList]:
        """Stream the e-mail lists, or those of another channel (GET /contact_lists).

        `name` is a full name. `status` is all, active or deleted. `channel_type` is email or sms: the API hides SMS
        lists unless asked for them; `list_every_channel` streams both. `include_membership_count` (all or active) asks
        for the number of contacts on each list, `include_sms_membership_count` for the same of SMS lists,
        `include_count` for the number of lists, the `total` of a page. `limit` is the page size, 1 to 1,000. `start` is
        the `next_url` of a page to continue after, without any other filter.
        """
        return _stream(
            self._session,
            start,
            limit,
            name=name,
            status=status,
            channel_type=channel_type,
            include_count=include_count,
            include_membership_count=include_membership_count,
            include_sms_membership_count=include_sms_membership_count,
        )

    def list_every_channel(self, *, status: StrOrIterable | None = None) -> merge[ContactList]:
        """Stream the e-mail lists and the SMS lists together, in order of arrival; at least two requests."""
        return merge(self.list(status=status, channel_type="email"), self.list(status=status, channel_type="sms"))

    async def create(self, name: str, *, favorite: bool = False, description: str | None = None) -> ContactList:
        """Create a list (POST /contact_lists); not repeated once it may have been applied.

        Raises:
            ConflictError: A list has this name: see `get_or_create`.

        """
        call = create_list(name, favorite=favorite, description=description)
        return (await self._session.request(call)).data

    async def get(self, list_id: str | ContactList, *, include_membership_count: str | None = None) -> ContactList:
        """Return a list (GET /contact_lists/{list_id}), on request with its `membership_count` (all or active)."""
        call = get_list(list_id, include_membership_count=include_membership_count)
        return (await self._session.request(call)).data

    async def update(
        self, list_id: str | ContactList, name: str, *, favorite: bool = False, description: str | None = None
    ) -> ContactList:
        """Replace a list (PUT /contact_lists/{list_id}): what is left out gets its default; `patch` keeps it."""
        call = update_list(list_id, name, favorite=favorite, description=description)
        return (await self._session.request(call)).data

    async def patch(
        self,
        list_id: str | ContactList,
        *,
        name: str | None = None,
        favorite: bool | None = None,
        description: str | None = None,
    ) -> ContactList:
        """Change what is given and keep the rest: two requests, GET and PUT.

        `description=""` removes the description.
        """
        now = await read_for_update(self._session, get_list(list_id), "name", "favorite", "description")
        return await self.update(
            list_id,
            name if name is not None else now.name or "",
            favorite=favorite if favorite is not None else bool(now.favorite),
            description=description if description is not None else now.description,
        )

    async def delete(self, list_id: str | ContactList) -> Activity:
        """Start to delete a list (DELETE /contact_lists/{list_id}), which is a job; its contacts stay.

        If the response was lost and the repeated request finds no such list, the first one has succeeded: the
        returned `Activity` then has no id and is `already_deleted`.
        """
        return (await self._session.request(delete_list(list_id))).data

    async def id_xrefs(self, sequence_ids: str | Iterable[str | int]) -> _Xrefs:
        """Return the ids of lists by their ids in the V2 API (GET /contact_lists/list_id_xrefs).

        Any number of ids, which costs one request for every 500; unknown ones are missing from the result.
        """
        found: _Xrefs = []
        ids = _split(sequence_ids)
        for start in range(0, len(ids), _XREFS_AT_MOST):
            found += (await self._session.request(list_id_xrefs(ids[start : start + _XREFS_AT_MOST]))).data
        return found

    async def find(self, name: str) -> ContactList | None:
        """Return the list of any channel with this name, or None; one that differs in case only if no other matches.

        Reads the lists: one request for 1,000 e-mail lists, and if need be one for SMS lists.
        """
        return await self._find(name, exact=False)

    async def get_or_create(self, name: str) -> ContactList:
        """Return the list with this name, created unless it exists.

        Clients that do this at the same time end up with one list.
        """
        _name(name)
        lock = self._locks.of(name)
        return await get_or_create(lock, lambda exact: self._find(name, exact=exact), lambda: self.create(name))

    async def _find(self, name: str, *, exact: bool) -> ContactList | None:
        similar = None
        for channel in ("email", "sms"):
            found = await find_named(self.list(channel_type=channel), name, lambda each: [each.name], exact=exact)
            if found is not None and found.name == name:
                return found
            similar = similar or found
        return similar


class ListsWithHttpInfo:
    """The operations of `Lists`, each with the status code and the headers of its response."""

    def __init__(self, session: Session) -> None:
        self._session = session

    create = raw(create_list)
    get = raw(get_list)
    update = raw(update_list)
    delete = raw(delete_list)
    id_xrefs = raw(list_id_xrefs)

    async def list(
        self,
        *,
        name: str | None = None,
        status: StrOrIterable | None = None,
        channel_type: str | None = None,
        include_count: bool = False,
        include_membership_count: str | None = None,
        include_sms_membership_count: bool = False,
        limit: int = 1_000,
        start: str | None = None,
    ) -> Page[ContactList]:
        """Return the first page of `Lists.list`."""
        stream = _stream(
            self._session,
            start,
            limit,
            name=name,
            status=status,
            channel_type=channel_type,
            include_count=include_count,
            include_membership_count=include_membership_count,
            include_sms_membership_count=include_sms_membership_count,
        )
        return await first_page(stream)


def _stream(session: Session, start: str | None, limit: int, **filters: Any) -> Pager[ContactList]:
    if filters.get("name") is not None:
        _name(filters["name"])
    if filters.get("status") is not None:
        filters["status"] = csv("status", filters["status"])
    return stream(session, _LISTS, page_params(start, limit, 1_000, **filters), start=start, read_ahead=0)
