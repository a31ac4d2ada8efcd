"""Finding a contact by its address, and creating one unless it exists."""

import contextlib

from cc_async.errors import ConflictError, ConstantContactError, NotFoundError
from cc_async.http.session import Session
from cc_async.models.contact_requests import CreateContactRequest
from cc_async.models.contacts import Contact
from cc_async.resources._checks import StrOrIterable, checked_text
from cc_async.resources.contacts import calls
from cc_async.resources.contacts.filters import ContactFilters
from cc_async.resources.contacts.stream import contact_stream
from cc_async.wire.addresses import normalized_address, spellings


async def find(session: Session, email: str, *, deleted: bool, include: StrOrIterable) -> Contact | None:
    """Return the contact with an address, however the address is spelled.

    Raises:
        InvalidRequestError: The address is not a string, or empty.

    """
    checked_text("email", email.strip() if isinstance(email, str) else email)
    filters: ContactFilters = {"status": "all"} if deleted else {}
    for asked in spellings(email):
        # One page at a time: an address has one contact, so there is nothing to fetch ahead.
        async with contact_stream(session, {**filters, "email": asked, "include": include, "read_ahead": 0}) as stream:
            async for contact in stream:
                if _has_address(contact, email):
                    return contact
    return None


def _has_address(contact: Contact, email: str) -> bool:
    address = contact.email_address and contact.email_address.address
    return bool(address) and normalized_address(address or "") == normalized_address(email)


async def create_or_get(session: Session, request: CreateContactRequest) -> Contact:
    """Create a contact, or return the one that has the address already."""
    try:
        return (await session.request(calls.create(request))).data
    except ConstantContactError as error:
        if not (isinstance(error, ConflictError) or error.maybe_applied):
            raise
        try:
            found = await _existing(session, request, error)
        except ConstantContactError as later:
            later.maybe_applied = later.maybe_applied or error.maybe_applied
            raise
        if found is None:
            raise
        return found


async def _existing(session: Session, request: CreateContactRequest, error: ConstantContactError) -> Contact | None:
    """Return the contact that a create met, or made before its response was lost.

    A conflict can be about the SMS number, and then names a contact with another e-mail address: that one is not it.
    """
    email = request.email_address
    if isinstance(error, ConflictError) and error.contact_id is not None:
        with contextlib.suppress(NotFoundError):
            contact = (await session.request(calls.get(error.contact_id))).data
            return contact if email is None or _has_address(contact, email.address) else None
    return None if email is None else await find(session, email.address, deleted=True, include=())
