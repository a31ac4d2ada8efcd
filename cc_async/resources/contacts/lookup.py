"""Finding a contact by its address, and creating one unless it exists."""

import contextlib

from cc_async.errors import ConflictError, ConstantContactError, NotFoundError
from cc_async.http.session import Session
from cc_async.models.contact_requests import CreateContactRequest
from cc_async.models.contacts import Contact
from cc_async.resources.contacts import calls
from cc_async.resources.contacts.filters import ContactFilters, Several
from cc_async.resources.contacts.stream import contact_stream


async def find(session: Session, email: str, *, deleted: bool, include: Several) -> Contact | None:
    """The contact with an address, whatever the case of its letters."""
    filters: ContactFilters = {"status": "all"} if deleted else {}
    for asked in dict.fromkeys((email, email.lower())):
        # One page at a time: an address has one contact, so there is nothing to fetch ahead.
        async with contact_stream(session, {**filters, "email": asked, "include": include, "read_ahead": 0}) as stream:
            async for contact in stream:
                address = contact.email_address and contact.email_address.address
                if address and address.casefold() == email.casefold():
                    return contact
    return None


async def create_or_get(session: Session, request: CreateContactRequest) -> Contact:
    """Create a contact, or give the one that has the address already."""
    try:
        return (await session.request(calls.create(request))).data
    except ConstantContactError as failure:
        if not (isinstance(failure, ConflictError) or failure.maybe_applied):
            raise
        try:
            found = await _existing(session, request, failure)
        except ConstantContactError as trouble:
            trouble.maybe_applied = trouble.maybe_applied or failure.maybe_applied
            raise
        if found is None:
            raise
        return found


async def _existing(session: Session, request: CreateContactRequest, failure: ConstantContactError) -> Contact | None:
    """The contact that a create met with, or made before its answer was lost."""
    if isinstance(failure, ConflictError) and failure.contact_id is not None:
        with contextlib.suppress(NotFoundError):
            return (await session.request(calls.get(failure.contact_id))).data
    email = request.email_address
    return None if email is None else await find(session, email.address, deleted=True, include=())
