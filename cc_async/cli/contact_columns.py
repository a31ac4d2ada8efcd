"""Contacts as rows of CSV, in columns that `import` understands."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Final

import attrs

from cc_async.cli.output import Column
from cc_async.client import ConstantContact
from cc_async.models.contacts import Contact
from cc_async.models.custom_fields import CustomFieldCatalog

EVERYTHING: Final = (
    *("custom_fields", "list_memberships", "taggings", "notes"),
    *("phone_numbers", "street_addresses", "sms_channel"),
)
"""What a contact can include."""
_PHONES: Final = ("home", "work", "mobile", "other")
_ADDRESSES: Final = ("home", "work", "other")
_PARTS: Final = {"street": "street", "city": "city", "state": "state", "zip": "postal_code", "country": "country"}


@attrs.frozen
class Names:
    """The names of what contacts refer to by id."""

    custom_fields: CustomFieldCatalog
    lists: Mapping[str, str]
    tags: Mapping[str, str]


async def read_names(cc: ConstantContact, include: Sequence[str]) -> Names:
    """Read the names that columns of these sub-resources show."""
    catalog = await cc.custom_fields.catalog() if "custom_fields" in include else CustomFieldCatalog(())
    lists = cc.lists.list_every_channel(status="all") if "list_memberships" in include else None
    tags = cc.tags.list() if "taggings" in include else None
    return Names(
        catalog,
        {} if lists is None else {each.list_id or "": each.name or "" async for each in lists},
        {} if tags is None else {each.tag_id or "": each.name or "" async for each in tags},
    )


def columns(names: Names, include: Sequence[str]) -> list[Column[Contact]]:
    """Return the columns of a contact with these sub-resources."""
    found: list[Column[Contact]] = [
        Column("contact_id", attrgetter("contact_id")),
        Column("email", lambda contact: contact.email_address and contact.email_address.address),
        Column(
            "permission_to_send", lambda contact: contact.email_address and contact.email_address.permission_to_send
        ),
        *(
            Column[Contact](name, attrgetter(name))
            for name in ("first_name", "last_name", "job_title", "company_name", "birthday_month", "birthday_day")
        ),
        Column("anniversary", attrgetter("anniversary")),
    ]
    if "sms_channel" in include:
        found.append(Column("sms_number", lambda contact: contact.sms_channel and contact.sms_channel.sms_address))
    if "phone_numbers" in include:
        found += [Column(f"{kind}_phone", _phone(kind)) for kind in _PHONES]
    if "street_addresses" in include:
        found += [Column(f"{kind}_{part}", _address(kind, part)) for kind in _ADDRESSES for part in _PARTS]
    for field in names.custom_fields.fields:
        label = field.label or field.custom_field_id or ""
        found.append(Column(f"cf:{label}", lambda contact, label=label: names.custom_fields.values(contact).get(label)))  # type: ignore[misc]
    if "list_memberships" in include:
        found.append(
            Column("lists", lambda contact: [names.lists.get(one, one) for one in contact.list_memberships or ()])
        )
    if "taggings" in include:
        found.append(Column("tags", lambda one: [names.tags.get(key, key) for key in one.taggings or ()]))
    if "notes" in include:
        found.append(Column("notes", lambda contact: [note.content or "" for note in contact.notes or ()]))
    return [*found, *(Column[Contact](name, attrgetter(name)) for name in ("created_at", "updated_at", "deleted_at"))]


def _phone(kind: str) -> Callable[[Contact], object]:
    def value(contact: Contact) -> object:
        return next((each.phone_number for each in contact.phone_numbers or () if each.kind == kind), None)

    return value


def _address(kind: str, part: str) -> Callable[[Contact], object]:
    def value(contact: Contact) -> object:
        found = next((each for each in contact.street_addresses or () if each.kind == kind), None)
        return found and getattr(found, _PARTS[part])

    return value
