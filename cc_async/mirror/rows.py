"""Contacts, lists, tags and custom fields as rows: tuples in the order of the columns of their tables."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Table

from cc_async.mirror import tables
from cc_async.models.contacts import Contact, EmailAddress
from cc_async.models.custom_fields import CustomFieldDefinition
from cc_async.models.lists import ContactList
from cc_async.models.tags import Tag

Row: TypeAlias = tuple[Any, ...]
_NO_ADDRESS = EmailAddress()
_encode = msgspec.json.encode


def text(value: str) -> str:
    """Replace what a database refuses in text: NUL in PostgreSQL, and half a surrogate pair everywhere."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def has_escapes(document: str) -> bool:
    """Return whether a document may contain what `text` replaces: JSON can only express it with an escape."""
    return "\\u" in document


def storable(row: Row) -> Row:
    """Return a row whose texts a database accepts."""
    return tuple(text(value) if isinstance(value, str) else value for value in row)


def rows_of_contacts(
    contacts: Iterable[tuple[int, Contact, str]], generation: int
) -> Iterator[tuple[Table, list[Row]]]:
    """Yield the rows of contacts, and of what belongs to them, by table; contacts come with number and document."""
    numbered = [*contacts]
    models = [(number, contact) for number, contact, _ in numbered]
    escapes = any(has_escapes(document) for _, _, document in numbered)
    for table, rows in (
        (tables.contacts, [_contact(number, contact, document, generation) for number, contact, document in numbered]),
        (tables.addresses, _addresses(models)),
        (tables.phones, _phones(models)),
        (tables.custom_field_values, _values(models)),
        (tables.memberships, [(n, each) for n, contact in models for each in {*(contact.list_memberships or ())}]),
        (tables.taggings, [(n, each) for n, contact in models for each in {*(contact.taggings or ())}]),
    ):
        yield table, [*map(storable, rows)] if escapes else rows


def _contact(number: int, contact: Contact, document: str, generation: int) -> Row:
    email, sms = contact.email_address or _NO_ADDRESS, contact.sms_channel
    sms_number = f"{sms.dial_code or ''}{sms.sms_address}" if sms and sms.sms_address else None
    return (
        number,
        contact.contact_id,
        email.address,
        email.permission_to_send,
        email.opt_in_date,
        email.opt_out_date,
        contact.first_name,
        contact.last_name,
        contact.job_title,
        contact.company_name,
        _small(contact.birthday_month),
        _small(contact.birthday_day),
        contact.anniversary,
        sms_number,
        contact.create_source,
        contact.update_source,
        contact.created_at,
        contact.updated_at,
        contact.deleted_at,
        document,
        generation,
    )


def _small(number: int | None) -> int | None:
    return number if number is not None and abs(number) < 2**31 else None


def _addresses(models: Iterable[tuple[int, Contact]]) -> list[Row]:
    return [
        (n, position, a.street_address_id, a.kind, a.street, a.city, a.state, a.postal_code, a.country)
        for n, contact in models
        for position, a in enumerate(contact.street_addresses or ())
    ]


def _phones(models: Iterable[tuple[int, Contact]]) -> list[Row]:
    return [
        (n, position, phone.phone_number_id, phone.kind, phone.phone_number)
        for n, contact in models
        for position, phone in enumerate(contact.phone_numbers or ())
    ]


def _values(models: Iterable[tuple[int, Contact]]) -> list[Row]:
    return [
        (n, field_id, each.value, None if each.choice_ids is None else _encode(each.choice_ids).decode())
        for n, contact in models
        for field_id, each in {each.custom_field_id: each for each in contact.custom_fields or ()}.items()
        if field_id is not None
    ]


def list_row(each: ContactList, document: str) -> Row:
    """Return the row of a list."""
    names = each.list_id, each.name, each.description
    return storable((*names, each.created_at, each.updated_at, each.deleted_at, document))


def tag_row(each: Tag, document: str) -> Row:
    """Return the row of a tag."""
    return storable((each.tag_id, each.name, each.created_at, each.updated_at, document))


def custom_field_row(each: CustomFieldDefinition, document: str) -> Row:
    """Return the row of a custom field."""
    names = each.custom_field_id, each.label, each.name, each.type
    return storable((*names, each.created_at, each.updated_at, document))
