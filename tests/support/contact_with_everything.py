"""A sandbox with one contact that has every kind of data, and a client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cc_async import ConstantContact, CreateContactRequest, EmailAddressInput
from cc_async.sandbox import Sandbox
from support.raw_server import hasty


class World:
    """A sandbox with one contact that has everything, and a client."""

    def __init__(self, box: Sandbox, cc: ConstantContact) -> None:
        self.box, self.cc, self.store = box, cc, box.store
        self.id = self.add("Ada@Example.com", **full(box))

    def add(self, address: str | None = None, **fields: Any) -> str:
        """Add a contact as another program would; return its id."""
        email = {} if address is None else {"email_address": {"address": address, "permission_to_send": "explicit"}}
        made = self.store.create({"create_source": "Account", "first_name": "Ada", **email, **fields})
        return str(made["contact_id"])

    def write(self, contact_id: str | None = None, **fields: Any) -> None:
        """Change some properties as another program would."""
        row = self.store.row(contact_id or self.id)
        document = self.store.table.document(row) | fields
        self.store.table.save(document, row)

    def contact(self, contact_id: str | None = None) -> dict[str, Any]:
        return self.store.get(contact_id or self.id)

    def requests(self, method: str | None = None) -> list[str]:
        return [record.method for record in self.box.requests if method in (None, record.method)]


def full(box: Sandbox) -> dict[str, Any]:
    store = box.store
    return {
        "last_name": "Lovelace",
        "job_title": "Analyst",
        "company_name": "Engines",
        "birthday_month": 12,
        "birthday_day": 10,
        "anniversary": "2001-02-03",
        "custom_fields": [{"custom_field_id": store.custom_fields[0], "value": "blue"}],
        "phone_numbers": [{"phone_number": "+1 555 0100", "kind": "home"}],
        "street_addresses": [{"kind": "home", "city": "London"}],
        "list_memberships": [store.lists[0], store.lists[1]],
        "taggings": [store.tags[0]],
        "notes": [{"content": "Called."}],
        "sms_channel": {
            "full_sms_address": "+12025550100",
            "sms_channel_consents": [{"sms_consent_permission": "explicit", "consent_type": "promotional_consent"}],
        },
    }


@asynccontextmanager
async def opened(client: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[World]:
    settings = {"rate": None, "daily": None} | settings
    async with Sandbox(**settings) as box, hasty(box.base_url, box.access_token, **(client or {})) as cc:
        yield World(box, cc)


def differing(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """What differs, but for what every write moves."""

    def settled(document: dict[str, Any]) -> dict[str, Any]:
        email = {**(document.get("email_address") or {}), "updated_at": None}
        return {**document, "email_address": email, "updated_at": None, "update_source": None}

    first, second = settled(before), settled(after)
    return {name for name in first.keys() | second.keys() if first.get(name) != second.get(name)}


def request(address: str | None = "ADA@example.com", **fields: Any) -> CreateContactRequest:
    email = None if address is None else EmailAddressInput(address=address, permission_to_send="implicit")
    return CreateContactRequest(create_source="Account", first_name="New", email_address=email, **fields)
