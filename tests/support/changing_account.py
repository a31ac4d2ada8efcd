"""An account whose contacts change, and a copy of it that is kept by `changes`."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from cc_async import ConstantContact, Contact
from cc_async.codec.decode import decode
from cc_async.sandbox import Sandbox
from support.raw_server import hasty
from support.sandbox_contract import Clock

ORDERS = ("created", "updated", "id", "shuffled")
MINUTE = 60.0


class World:
    """A sandbox whose clock is driven, a client, and a copy of the contacts that `sync` keeps."""

    def __init__(self, box: Sandbox, cc: ConstantContact, clock: Clock) -> None:
        self.box, self.cc, self.clock, self.store = box, cc, clock, box.store
        self.copy: dict[str, Contact] = {}
        self.made = 0
        self.steps: list[Callable[[], object]] = []
        self.left_out = ""
        box.fault("mutate", method="GET", path="/contacts$", times=None, change=self._after_page)

    def leave_out(self, name: str) -> None:
        """Leave a property out of every page from now on."""
        self.left_out = name

    def _after_page(self, page: Any) -> None:
        """Let the next step of another writer happen once a page has been answered."""
        page.pop(self.left_out, None)
        self.clock.now += 0.25
        if self.steps:
            self.steps.pop(0)()

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now, UTC)

    def add(self) -> str:
        self.made += 1
        self.clock.now += 1
        email = {"address": f"n{self.made}@example.com", "permission_to_send": "explicit"}
        made = self.store.create({"create_source": "Account", "first_name": "0", "email_address": email})
        return str(made["contact_id"])

    def touch(self, contact_id: str) -> None:
        self.clock.now += 1
        read = self.store.get(contact_id)
        name = str(int(read.get("first_name") or 0) + 1)
        self.store.put(contact_id, {"update_source": "Account", "first_name": name})

    def delete(self, contact_id: str) -> None:
        self.clock.now += 1
        self.store.delete(contact_id)

    def opt_out(self, contact_id: str) -> None:
        self.clock.now += 1
        self.store.unsubscribe(contact_id)

    def opt_in(self, contact_id: str) -> None:
        self.clock.now += 1
        address = self.store.get(contact_id)["email_address"]["address"]
        self.store.sign_up({"email_address": address, "list_memberships": [self.store.lists[0]]})

    def delete_many(self, number: int, *, days: float = 3.0) -> list[str]:
        """Create contacts, let them grow old, and delete them."""
        ids = [self.add() for _ in range(number)]
        self.clock.now += days * 86_400
        for contact_id in ids:
            self.delete(contact_id)
        return ids

    async def sync(self, since: datetime | str, **options: Any) -> tuple[list[str], datetime]:
        """Apply what changed to the copy; return the ids, and where to go on."""
        changes = self.cc.contacts.changes(since, **options)
        seen = []
        async for contact in changes:
            assert contact.contact_id is not None
            seen.append(contact.contact_id)
            self.copy[contact.contact_id] = contact
        assert len(seen) == len(set(seen))
        return seen, changes.watermark

    def truth(self) -> dict[str, Contact]:
        return {
            contact_id: decode(self.store.table.json(self.store.row(contact_id), ()), Contact).value
            for contact_id in self.store.ids()
        }

    def pages(self) -> int:
        return len(self.box.requests)


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[World]:
    clock = Clock()
    settings = {"rate": None, "daily": None, "clock": clock, "token_lifetime": 1e9} | settings
    async with Sandbox(**settings) as box, hasty(box.base_url, box.access_token) as cc:
        yield World(box, cc, clock)


small_pages = pytest.mark.usefixtures("_small_pages")
