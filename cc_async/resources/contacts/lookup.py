"""Look up a contact by its address, and create it unless it exists."""

import contextlib
import re

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
    """Return the contact with an address, in any spelling.

    Raises:
        InvalidRequestError: The address is not a string, or empty.

    """
    checked_text("email", email.strip() if isinstance(email, str) else email)
    filters: ContactFilters = {"status": "all"} if deleted else {}
    for asked in spellings(email):
        # One page at a time: an address has only one contact, so prefetching would be useless.
        async with contact_stream(session, {**filters, "email": asked, "include": include, "read_ahead": 0}) as stream:
            async for contact in stream:
                if _has_address(contact, email):
                    return contact
    return None


def _has_address(contact: Contact, email: str) -> bool:
    address = contact.email_address and contact.email_address.address
    return bool(address) and normalized_address(address or "") == normalized_address(email)


async def create_or_get(session: Session, request: CreateContactRequest) -> Contact:
    """Create a contact, or return the existing one with the address."""
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
    """Return the contact that a create conflicted with, or made before its response was lost.

    A conflict may name another contact: over the SMS number where the e-mail addresses differ, say.
    """
    email = request.email_address
    if isinstance(error, ConflictError) and error.contact_id is not None:
        include = "sms_channel" if email is None else ()
        with contextlib.suppress(NotFoundError):
            contact = (await session.request(calls.get(error.contact_id, include=include))).data
            return contact if _is_meant(contact, request) else None
    return None if email is None else await find(session, email.address, deleted=True, include=())


def _is_meant(contact: Contact, request: CreateContactRequest) -> bool:
    if request.email_address is not None:
        return _has_address(contact, request.email_address.address)
    if request.sms_channel is None or contact.sms_channel is None:
        return False
    channel = contact.sms_channel
    number = _digits(request.sms_channel.full_sms_address)
    return number in {_digits(channel.sms_address), _digits((channel.dial_code or "") + (channel.sms_address or ""))}


def _digits(number: str | None) -> str:
    """Return the digits that identify a phone number, without an international prefix."""
    return re.sub("[^0-9]", "", number or "").lstrip("0")
