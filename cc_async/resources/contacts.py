"""The contacts of an account, see https://developer.constantcontact.com/api_guide/contacts_overview.html."""

from collections.abc import Iterable
from typing import TypeAlias, Unpack

from cc_async.models.contact import (
    Contact,
    ContactCounts,
    ContactXref,
    CreateOrUpdateContactResult,
    SmsEngagement,
)
from cc_async.models.requests import CreateContactRequest, CreateOrUpdateContactRequest, UpdateContactRequest
from cc_async.paging import Page, Pager
from cc_async.resources import contact_calls as calls
from cc_async.resources.contact_calls import ContactFilters, Several
from cc_async.resources.contact_stream import contact_stream
from cc_async.session import ApiResponse, Session

# Named here because `list` means the method inside the classes.
_Xrefs: TypeAlias = list[ContactXref]
_History: TypeAlias = list[SmsEngagement]


class Contacts:
    """The ten operations on contacts. Each costs one request unless its docstring says otherwise.

    All raise, besides what they name: ApiError by the status of the answer, TransportError and RequestTimeoutError if
    no answer came, DecodeError if it cannot be read, AuthorizationError if no token could be had, ClientClosedError.
    An error of a write says in `maybe_applied` whether it may have taken effect all the same.
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
