"""The contacts of an account, see https://developer.constantcontact.com/api_guide/contacts_overview.html."""

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import TypeAlias, Unpack

from cc_async.http.session import Session
from cc_async.models.contact_requests import (
    ContactChanges,
    CreateContactRequest,
    CreateOrUpdateContactRequest,
    UpdateContactRequest,
)
from cc_async.models.contacts import Contact, ContactCounts, ContactXref, CreateOrUpdateContactResult, SmsEngagement
from cc_async.resources._checks import StrOrIterable
from cc_async.resources._lookup import Locks
from cc_async.resources.activities.calls import ListIds
from cc_async.resources.contacts import calls, editing, lookup
from cc_async.resources.contacts.bulk import BulkContacts
from cc_async.resources.contacts.changes import Changes
from cc_async.resources.contacts.filters import DatetimeOrStr
from cc_async.resources.contacts.http_info import ContactsWithHttpInfo
from cc_async.resources.contacts.many import ManyContacts
from cc_async.resources.contacts.stream import ContactStreams, contact_stream

# Named here because `list` means the method inside the class.
_Xrefs: TypeAlias = list[ContactXref]
_History: TypeAlias = list[SmsEngagement]


class Contacts(ContactStreams, ManyContacts, BulkContacts):
    """The operations on contacts: the ten of the API, and those built on them.

    Each costs one request unless its docstring says otherwise. Besides what their docstrings name, all raise ApiError
    according to the status of the response, TransportError or RequestTimeoutError without a response, DecodeError for
    one that cannot be read, AuthorizationError without a token, and ClientClosedError. The error of a write tells in
    `maybe_applied` whether the write may have been applied nevertheless.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._locks = Locks()

    @property
    def with_http_info(self) -> ContactsWithHttpInfo:
        """The same operations, which return the status code and headers with the data."""
        return ContactsWithHttpInfo(self._session)

    async def create(self, request: CreateContactRequest) -> Contact:
        """Create a contact (POST /contacts).

        Not retried once it may have been applied, because that would create another contact.

        Raises:
            ConflictError: A contact has this address, possibly a deleted one; see `contact_id`.

        """
        return (await self._session.request(calls.create(request))).data

    async def create_or_update(self, request: CreateOrUpdateContactRequest) -> CreateOrUpdateContactResult:
        """Sign a contact up (POST /contacts/sign_up_form): create it, or update what the request names.

        Only for contacts that gave their consent: it **raises the permission to send**, revives a deleted contact and
        may send a confirmation e-mail. Lists and custom fields are added to those the contact has.
        """
        return (await self._session.request(calls.create_or_update(request))).data

    async def delete(self, contact_id: str) -> None:
        """Delete a contact (DELETE /contacts/{contact_id}); it keeps its address and an update can revive it."""
        await self._session.request(calls.delete(contact_id))

    async def get(self, contact_id: str, *, include: StrOrIterable = ()) -> Contact:
        """Return a contact (GET /contacts/{contact_id}), with the sub-resources that `include` names."""
        return (await self._session.request(calls.get(contact_id, include=include))).data

    async def counts(self, *, new_subscribers: bool = False) -> ContactCounts:
        """Return the number of contacts by consent (GET /contacts/counts), on request with those new in 30 days."""
        return (await self._session.request(calls.counts(new_subscribers=new_subscribers))).data

    async def id_xrefs(self, sequence_ids: str | Iterable[str | int]) -> _Xrefs:
        """Return the ids of contacts by their ids in the V2 API (GET /contacts/contact_id_xrefs).

        Any number of ids, which costs one request for every 500; unknown ones are missing from the result. The provider
        intends this for a migration, not for regular use.
        """
        ids = calls.split(sequence_ids)
        found: _Xrefs = []
        for start in range(0, len(ids), calls.XREFS_AT_MOST):
            found += (await self._session.request(calls.id_xrefs(ids[start : start + calls.XREFS_AT_MOST]))).data
        return found

    async def sms_engagement_history(self, contact_id: str) -> _History:
        """Return the history of a contact's consent to SMS (GET /contacts/sms_engagement_history/{contact_id})."""
        return (await self._session.request(calls.sms_engagement_history(contact_id))).data

    async def update(self, contact_id: str, request: UpdateContactRequest) -> Contact:
        """Replace a contact (PUT /contacts/{contact_id}): core properties that the request leaves out become null.

        With the `update_source` Account it also revives a deleted contact.
        """
        return (await self._session.request(calls.update(contact_id, request))).data

    async def resubscribe(self, contact_id: str, list_ids: ListIds) -> None:
        """Ask an unsubscribed contact by e-mail to subscribe again (PUT /contacts/resubscribe/{contact_id}).

        Not retried once it may have been applied, because the API sends that e-mail only once for each contact.
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
        """Change what is named and keep everything else: two requests, GET and PUT (only GET if nothing is named).

        An update replaces the core of a contact, so this reads it first and sends back what is not named, the
        permission to send included, as the JSON that was read. Collections that are not named are not sent, which keeps
        them. None clears and a list replaces; `add_lists`, `remove_lists`, `add_tags` and `remove_tags` edit. Whether
        None removes a whole e-mail address or SMS channel is not documented: check the result. Patches of the same
        contact wait for each other within a client. If the response to the PUT is lost, the contact is read and merged
        again, so that what others have written meanwhile survives.

        The API has no conditional update: what another program writes to the core between this GET and this PUT (or to
        the same list, when a list is edited) is overwritten unnoticed, and a contact deleted in between is revived.
        With `unless_changed_since`, the `updated_at` of an earlier read, at least a write before the GET is noticed;
        edits of lists and tags, unsubscribes, and changes within the same second may not show there. Such a patch is
        not merged again after a lost response if `updated_at` has changed: it raises with `maybe_applied`.

        Raises:
            InvalidRequestError: The contact is deleted, so an update would revive it; or the changes are contradictory
                or of a wrong type.
            ContactChangedError: `updated_at` is later than `unless_changed_since`; nothing was written.
            DecodeError: What would have to be sent back cannot be read.

        """
        edit = editing.Edit(
            session=self._session,
            locks=self._locks,
            contact_id=contact_id,
            update_source=update_source,
            unless_changed_since=unless_changed_since,
        )
        return await editing.patch(edit, changes)

    async def unsubscribe(self, contact_id: str, *, reason: str | None = None) -> Contact:
        """Unsubscribe a contact's e-mail address and keep everything else: two requests, one if it already is."""
        edit = editing.Edit(session=self._session, locks=self._locks, contact_id=contact_id)
        return await editing.unsubscribe(edit, reason)

    async def revive(self, contact_id: str) -> Contact:
        """Restore a deleted contact as it was: two requests, one if it is not deleted."""
        return await editing.revive(editing.Edit(session=self._session, locks=self._locks, contact_id=contact_id))

    async def find(self, email: str, *, deleted: bool = False, include: StrOrIterable = ()) -> Contact | None:
        """Return the contact with this address, or None; `deleted=True` includes deleted contacts.

        Case, surrounding spaces, the Unicode normalization form and the spelling of an international domain (Unicode or
        Punycode) make no difference. One request; while nothing is found, one more for each other spelling: in lower
        case, and for an address that is not plain ASCII in the normalized and the Unicode form.

        Raises:
            InvalidRequestError: The address is not a string, or empty.

        """
        return await lookup.find(self._session, email, deleted=deleted, include=include)

    async def create_or_get(self, request: CreateContactRequest) -> Contact:
        """Create a contact, or return the existing one with this address, unchanged.

        One request, two or three if the contact exists. It may be a deleted one: see `deleted_at` and `revive`. If the
        response to the create is lost, the address is looked up instead of created again.

        Raises:
            ConflictError: The conflicting contact cannot be found, or is another one: its e-mail address, or without an
                address its SMS number, is not that of the request.
            TransportError, ServerError: The response was lost, and there is no such contact, or no address to look up.
                An error of the look-up then also says `maybe_applied`.

        """
        return await lookup.create_or_get(self._session, request)

    def changes(
        self,
        since: DatetimeOrStr,
        *,
        until: DatetimeOrStr | None = None,
        include: StrOrIterable = (),
        sweep_deleted: bool | None = None,
    ) -> Changes:
        """Stream every contact that changed, was created, was deleted or opted out after `since`, each once.

        Store `watermark` of the result after the loop, and begin there the next time. A call reaches back five minutes
        behind `since`, so contacts may come again in the next call: apply them as updates.

        `updated_after` does not match contacts that only unsubscribe, so this asks for both kinds of date, a request a
        page each, one page at a time, and repeats that until a pass adds nothing: at least twice where there are
        several pages. Whether edits of lists and tags move `updated_at` is not documented: if they do not, only a full
        stream shows them.

        Whether a deletion moves `updated_at` is not documented either, so each call reads one page of the deleted
        contacts. If many of them were updated on the day of their deletion and none only before it, that page is
        enough, and a call in which nothing changed costs three requests. Otherwise the call sweeps: it reads all
        deleted contacts (a request for 500 of them each pass) and returns those deleted since the previous day, so
        these come every time. A page is evidence, not proof, and a server may change its habit. Therefore the call
        whose period reaches into a new week (Monday, 00:00 UTC) always sweeps and returns all contacts deleted since
        the Monday before `since`: as long as each call begins at the watermark of the last, every deletion is returned
        by the first call of the next week at the latest. `sweep_deleted=True` sweeps in every call and delays nothing;
        `sweep_deleted=False` never reads the deleted contacts and misses deletions that do not move `updated_at`.

        Raises:
            InvalidRequestError: `since` or `until` is naive, or `until` is before `since`.

        """
        stream = partial(contact_stream, self._session)
        return Changes(stream, lambda each: each, since, until=until, include=include, sweep_deleted=sweep_deleted)
