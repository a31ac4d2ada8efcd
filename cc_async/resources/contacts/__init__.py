"""The contacts of an account, see https://developer.constantcontact.com/api_guide/contacts_overview.html."""

from collections.abc import AsyncIterable, Callable, Coroutine, Hashable, Iterable
from datetime import datetime
from typing import Any, TypeAlias, TypedDict, TypeVar, Unpack

import attrs

from cc_async.errors import InvalidRequestError
from cc_async.http.call import ApiResponse, Call
from cc_async.http.session import Session
from cc_async.limits.protocol import Turn
from cc_async.models.contact_requests import (
    ContactChanges,
    CreateContactRequest,
    CreateOrUpdateContactRequest,
    EmailAddressInput,
    UpdateContactRequest,
)
from cc_async.models.contacts import Contact, ContactCounts, ContactXref, CreateOrUpdateContactResult, SmsEngagement
from cc_async.resources.contacts import calls, editing, lookup
from cc_async.resources.contacts.bulk import BulkContacts
from cc_async.resources.contacts.changes import Changes
from cc_async.resources.contacts.filters import ContactFilters, Moment, Several
from cc_async.resources.contacts.stream import contact_stream
from cc_async.streams.many import CONCURRENCY, Many
from cc_async.streams.pager import Page, Pager
from cc_async.wire.addresses import normalized_address

# Named here because `list` means the method inside the classes.
_Xrefs: TypeAlias = list[ContactXref]
_History: TypeAlias = list[SmsEngagement]
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
Items: TypeAlias = Iterable[ItemT] | AsyncIterable[ItemT]


class ManyOptions(TypedDict, total=False):
    """How the operations on many contacts run."""

    concurrency: int
    """Calls under way at most; 12 by default, three seconds of latency at four requests a second."""
    as_completed: bool
    """Give the outcomes as they come, rather than in the order of the items."""
    background: bool
    """Give way to what callers await, as streams do."""


def _many(
    items: Items[ItemT],
    work: Callable[[ItemT, Turn], Coroutine[Any, Any, ResultT]],
    options: ManyOptions,
    key: Callable[[ItemT], Hashable] = lambda _: None,
) -> Many[ItemT, ResultT]:
    unknown = options.keys() - ManyOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"got an unexpected keyword argument {min(unknown)!r}")
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


def _address(request: CreateContactRequest | CreateOrUpdateContactRequest) -> Hashable:
    """Return what identifies a contact to the API, which refuses simultaneous requests for the same one."""
    email = request.email_address
    address = email.address if isinstance(email, EmailAddressInput) else email
    return normalized_address(address) if isinstance(address, str) else None


def _folded(text: Any) -> Hashable:
    return text.strip().casefold() if isinstance(text, str) else None


class Contacts(BulkContacts):
    """The operations on contacts: the API's ten, and what is built of them.

    Each costs one request unless its docstring says otherwise. All raise, besides what they name: ApiError by the
    status of the answer, TransportError and RequestTimeoutError if no answer came, DecodeError if it cannot be read,
    AuthorizationError if no token could be had, ClientClosedError. An error of a write says in `maybe_applied` whether
    it may have taken effect all the same.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def with_http_info(self) -> "ContactsWithHttpInfo":
        """The same operations, which answer with the status code and the headers beside the data."""
        return ContactsWithHttpInfo(self._session)

    async def create(self, request: CreateContactRequest) -> Contact:
        """Create a contact (POST /contacts).

        Never sent again once it may have been applied, because it would create another.

        Raises:
            ConflictError: a contact has this address, perhaps a deleted one; `contact_id` says which.

        """
        return (await self._session.request(calls.create(request))).data

    async def create_or_update(self, request: CreateOrUpdateContactRequest) -> CreateOrUpdateContactResult:
        """Sign a contact up (POST /contacts/sign_up_form): create it, or update what the request names.

        Only for contacts that gave their consent: it **raises the permission to send**, revives a deleted contact and
        may send a confirmation mail. Lists and custom fields are added to those the contact has.
        """
        return (await self._session.request(calls.create_or_update(request))).data

    async def delete(self, contact_id: str) -> None:
        """Delete a contact (DELETE /contacts/{contact_id}); it keeps its address and can be revived by an update."""
        await self._session.request(calls.delete(contact_id))

    async def get(self, contact_id: str, *, include: Several = ()) -> Contact:
        """One contact (GET /contacts/{contact_id}), with the sub-resources that `include` names."""
        return (await self._session.request(calls.get(contact_id, include))).data

    async def counts(self, *, new_subscribers: bool = False) -> ContactCounts:
        """How many contacts there are by consent (GET /contacts/counts), on request with those new in 30 days."""
        return (await self._session.request(calls.counts(new_subscribers=new_subscribers))).data

    async def id_xrefs(self, sequence_ids: str | Iterable[str | int]) -> _Xrefs:
        """The ids of this API for ids of the V2 API (GET /contacts/contact_id_xrefs).

        Any number of ids, which cost one request for every 500; unknown ones are missing from the result. The provider
        means this for a migration, not for regular use.
        """
        ids = [*(sequence_ids.split(",") if isinstance(sequence_ids, str) else sequence_ids)]
        step = calls.XREFS_AT_MOST
        found: _Xrefs = []
        for start in range(0, len(ids), step):
            found += (await self._session.request(calls.id_xrefs(ids[start : start + step]))).data
        return found

    async def sms_engagement_history(self, contact_id: str) -> _History:
        """What became of a contact's consent to SMS (GET /contacts/sms_engagement_history/{contact_id})."""
        return (await self._session.request(calls.sms_engagement_history(contact_id))).data

    async def update(self, contact_id: str, request: UpdateContactRequest) -> Contact:
        """Replace a contact (PUT /contacts/{contact_id}): core properties that the request leaves out become null.

        An `update_source` of Account also revives a deleted contact.
        """
        return (await self._session.request(calls.update(contact_id, request))).data

    async def resubscribe(self, contact_id: str, list_ids: Iterable[str]) -> None:
        """Mail an unsubscribed contact to confirm a new subscription (PUT /contacts/resubscribe/{contact_id}).

        The API sends that mail once only for each contact, so it is never repeated by itself.
        """
        await self._session.request(calls.resubscribe(contact_id, list_ids))

    async def patch(
        self,
        contact_id: str,
        *,
        update_source: str = "Account",
        unless_changed_since: datetime | None = None,
        **changes: Unpack[ContactChanges],
    ) -> Contact:
        """Change what is named and leave all else as it is: two requests, GET and PUT (only GET if nothing is named).

        The update replaces a contact's core, so this reads it first and sends back as raw JSON what is not named, the
        permission to send included. Collections that are not named stay by themselves. None clears, a list replaces;
        `add_lists`, `remove_lists`, `add_tags` and `remove_tags` edit. Whether None takes away a whole e-mail address
        or SMS channel is not documented: look at the result. Patches of one contact wait for each other within a
        client. Where the answer to the PUT is lost, the contact is read and merged anew, so that what others wrote
        meanwhile survives.

        The API has no conditional update: what another program writes to the core between this GET and this PUT (or to
        the same list, when a list is edited) is overwritten unseen, and a contact deleted just then is revived. With
        `unless_changed_since`, the `updated_at` of an earlier read, it is at least noticed what was written before the
        GET; edits of lists and tags, unsubscribes, and changes within the same second may not show there. Such a patch
        is not merged anew after a lost answer once `updated_at` has moved: it raises with `maybe_applied`.

        Raises:
            InvalidRequestError: the contact is deleted, so an update would revive it; or the changes contradict.
            ContactChangedError: `updated_at` is later than `unless_changed_since`; nothing was written.
            DecodeError: what would have to be sent back cannot be read.

        """
        return await editing.patch(
            editing.Edit(
                session=self._session,
                contact_id=contact_id,
                update_source=update_source,
                unless_changed_since=unless_changed_since,
            ),
            changes,
        )

    async def unsubscribe(self, contact_id: str, *, reason: str | None = None) -> Contact:
        """Take a contact's e-mail address off all mail and keep all else: two requests, one if it is off already."""
        return await editing.unsubscribe(editing.Edit(session=self._session, contact_id=contact_id), reason)

    async def revive(self, contact_id: str) -> Contact:
        """Bring a deleted contact back as it was: two requests, one if it is not deleted."""
        return await editing.revive(editing.Edit(session=self._session, contact_id=contact_id))

    async def find(self, email: str, *, deleted: bool = False, include: Several = ()) -> Contact | None:
        """The contact that has an address, or None; with `deleted`, also one that was deleted.

        Case, surrounding spaces, the Unicode normalization form and the spelling of an international domain (Unicode or
        Punycode) make no difference. One request; one more for each other spelling while none has been found: in lower
        case, and of an address that is not plain ASCII in the normalized and the Unicode form.

        Raises:
            InvalidRequestError: The address is not a string, or empty.

        """
        return await lookup.find(self._session, email, deleted=deleted, include=include)

    async def create_or_get(self, request: CreateContactRequest) -> Contact:
        """Create a contact, or give the one that has the address, as it is: its consent and data are not touched.

        One request, two or three where the contact exists. That may be a deleted one: see `deleted_at` and `revive`.
        Where the answer to the create is lost, the address is looked up instead of created again.

        Raises:
            ConflictError: The conflicting contact cannot be found, or has another e-mail address (the SMS number is
                taken).
            TransportError, ServerError: the answer was lost, and there is no such contact, or no address to look up.
                What goes wrong with the look-up then also says `maybe_applied`.

        """
        return await lookup.create_or_get(self._session, request)

    def create_many(
        self, requests: Items[CreateContactRequest], **options: Unpack[ManyOptions]
    ) -> Many[CreateContactRequest, Contact]:
        """Create contacts, one request each; see `Many` for what comes back and `ManyOptions` for how it runs."""
        return self._each(requests, calls.create, options, key=_address)

    def create_or_update_many(
        self, requests: Items[CreateOrUpdateContactRequest], **options: Unpack[ManyOptions]
    ) -> Many[CreateOrUpdateContactRequest, CreateOrUpdateContactResult]:
        """Sign contacts up, one request each; read at `create_or_update` what that does to their consent."""
        return self._each(requests, calls.create_or_update, options, key=_address)

    def delete_many(self, contact_ids: Items[str], **options: Unpack[ManyOptions]) -> Many[str, None]:
        """Delete contacts, one request each."""
        return self._each(contact_ids, calls.delete, options, key=_folded)

    def get_many(
        self, contact_ids: Items[str], *, include: Several = (), **options: Unpack[ManyOptions]
    ) -> Many[str, Contact]:
        """Get contacts, one request each; where most of an account is wanted, `list` needs 500 times fewer."""
        names = include if isinstance(include, str) else tuple(include)
        return self._each(contact_ids, lambda contact_id: calls.get(contact_id, names), options)

    def patch_many(
        self, patches: Items[tuple[str, ContactChanges]], **options: Unpack[ManyOptions]
    ) -> Many[tuple[str, ContactChanges], Contact]:
        """Patch contacts, given as pairs of id and changes, two requests each.

        The time between the GET and the PUT of one contact grows with `concurrency`: see `patch` for what it risks.
        """

        async def work(item: tuple[str, ContactChanges], turn: Turn) -> Contact:
            edit = editing.Edit(session=self._session, contact_id=item[0], background=turn.stream)
            return await editing.patch(edit, item[1])

        return _many(patches, work, options, key=lambda item: _folded(item[0]))

    def _each(
        self,
        items: Items[ItemT],
        call: Callable[[ItemT], Call[ResultT]],
        options: ManyOptions,
        key: Callable[[ItemT], Hashable] = lambda _: None,
    ) -> Many[ItemT, ResultT]:
        async def work(item: ItemT, turn: Turn) -> ResultT:
            return (await self._session.request(attrs.evolve(call(item), turn=turn))).data

        return _many(items, work, options, key)

    def changes(
        self, since: Moment, *, until: Moment | None = None, include: Several = (), sweep_deleted: bool = True
    ) -> Changes:
        """Stream every contact that changed, was created, was deleted or opted out after `since`, each once.

        Store `watermark` of the result after the loop, and begin there the next time. A call reaches back five minutes
        behind `since`, so contacts may come again in the next call: apply them as updates.

        `updated_after` does not see those who unsubscribe, so this asks for both kinds of date, a request a page each,
        one page at a time, and repeats that until a pass adds nothing: at least twice where there are several pages.
        Whether a deletion moves `updated_at` is not documented, so all deleted contacts are looked through as well (a
        request for 500 of them each pass), of which those deleted on or after the day before come again every time;
        `sweep_deleted=False` spares that where experience shows it needless. Whether edits of lists and tags move
        `updated_at` is not documented either: if they do not, no call of the API tells of them but a full stream.

        Raises:
            InvalidRequestError: `since` or `until` is naive, or `until` is before `since`.

        """
        return Changes(self._session, since, until=until, include=include, sweep_deleted=sweep_deleted)

    def list(self, **filters: Unpack[ContactFilters]) -> Pager[Contact]:
        """Stream the contacts that match (GET /contacts): one request a page, sent as the stream is iterated.

        Without `status` deleted contacts are left out. Times are aware datetimes of any zone, or strings.

        Raises:
            InvalidRequestError: a filter breaks a rule of the API; the message names it.

        """
        return contact_stream(self._session, filters)


class ContactsWithHttpInfo:
    """The operations of `Contacts`, each with the status code and the headers of its answer."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def create(self, request: CreateContactRequest) -> ApiResponse[Contact]:
        """As `Contacts.create`."""
        return await self._session.request(calls.create(request))

    async def create_or_update(self, request: CreateOrUpdateContactRequest) -> ApiResponse[CreateOrUpdateContactResult]:
        """As `Contacts.create_or_update`; 201 is created, 200 updated."""
        return await self._session.request(calls.create_or_update(request))

    async def delete(self, contact_id: str) -> ApiResponse[None]:
        """As `Contacts.delete`; 404 says that a repeat found the contact gone after the first answer was lost."""
        return await self._session.request(calls.delete(contact_id))

    async def get(self, contact_id: str, *, include: Several = ()) -> ApiResponse[Contact]:
        """As `Contacts.get`."""
        return await self._session.request(calls.get(contact_id, include))

    async def counts(self, *, new_subscribers: bool = False) -> ApiResponse[ContactCounts]:
        """As `Contacts.counts`."""
        return await self._session.request(calls.counts(new_subscribers=new_subscribers))

    async def id_xrefs(self, sequence_ids: str | Iterable[str | int]) -> ApiResponse[_Xrefs]:
        """As `Contacts.id_xrefs`, for at most 500 ids, which is one request."""
        ids = sequence_ids.split(",") if isinstance(sequence_ids, str) else sequence_ids
        return await self._session.request(calls.id_xrefs(ids))

    async def sms_engagement_history(self, contact_id: str) -> ApiResponse[_History]:
        """As `Contacts.sms_engagement_history`."""
        return await self._session.request(calls.sms_engagement_history(contact_id))

    async def update(self, contact_id: str, request: UpdateContactRequest) -> ApiResponse[Contact]:
        """As `Contacts.update`."""
        return await self._session.request(calls.update(contact_id, request))

    async def resubscribe(self, contact_id: str, list_ids: Iterable[str]) -> ApiResponse[None]:
        """As `Contacts.resubscribe`."""
        return await self._session.request(calls.resubscribe(contact_id, list_ids))

    async def list(self, **filters: Unpack[ContactFilters]) -> Page[Contact]:
        """The first page of `Contacts.list`, with its status code and headers."""
        async with contact_stream(self._session, {**filters, "read_ahead": 0}) as pager:
            return await anext(pager.pages())
