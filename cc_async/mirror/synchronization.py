"""One synchronization: a full read if it is due, then what changed, then lists, tags and custom fields."""

import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import attrs

from cc_async.client import ConstantContact
from cc_async.codec.decode import RawItem, decode, dumps
from cc_async.codec.problems import log_problems
from cc_async.errors import BadRequestError, NotFoundError, PaginationError
from cc_async.mirror import tables
from cc_async.mirror.database import Database, contact_id_of
from cc_async.mirror.report import SyncProgress, SyncReport
from cc_async.mirror.rows import custom_field_row, list_row, tag_row
from cc_async.models.contacts import Contact
from cc_async.models.custom_fields import CustomFieldDefinition
from cc_async.models.lists import ContactList
from cc_async.models.tags import Tag
from cc_async.resources.contacts.changes import ChangesAs, server_time
from cc_async.resources.contacts.stream import CONTACTS, contact_stream_as
from cc_async.streams.many import Many
from cc_async.wire.urls import quote_segment

_INCLUDE: Final = (
    *("custom_fields", "list_memberships", "taggings", "notes"),
    *("phone_numbers", "street_addresses", "sms_channel"),
)
_CONTACTS: Final = CONTACTS.undecoded(contact_id_of)
_BATCH: Final = 500
"""Contacts in one transaction."""
_LOOKED_UP: Final = 1_000
"""The most contacts that are looked up because a full read did not meet them: a tenth of the daily quota."""
_PASSES: Final = 2
"""How often a full read may read everything: again if it met too few contacts, because they moved meanwhile."""


@attrs.define(eq=False)
class Synchronization:
    """One synchronization, through a connection that alone writes to the tables.

    The state of a full read is `began` (the time of its start, None if none is unfinished), `next_url` (where to
    resume), `pages_read` (whether only the contacts that it did not meet remain) and `generation` (its number).
    """

    cc: ConstantContact
    database: Database
    on_progress: Callable[[SyncProgress], None] | None
    generation: int = 0
    met_before: int = 0
    """The contacts that the full read had met before it was interrupted."""
    read: int = 0
    changed: int = 0
    removed: int = 0
    skipped: int = 0

    async def run(self, *, full: bool) -> SyncReport:
        """Do everything that is due."""
        started = time.monotonic()
        async with self.database.transaction():
            state = await self.database.state()
        self.generation = int(state.get("generation") or 0)
        since, resumed = state.get("watermark"), state.get("began") is not None
        full = full or resumed or since is None
        if full:
            since = await self._read_all(state)
        watermark = await self._read_changes(since or "")
        lists, tags, custom_fields = await self._read_definitions()
        return SyncReport(
            full=full,
            resumed=resumed,
            contacts=self.read,
            changed=self.changed,
            removed=self.removed,
            skipped=self.skipped,
            lists=lists,
            tags=tags,
            custom_fields=custom_fields,
            watermark=watermark,
            duration=timedelta(seconds=time.monotonic() - started),
        )

    async def _read_all(self, state: dict[str, str | None]) -> str:
        """Read all contacts, or the rest of them, and return the time at which the read began."""
        began, next_url = state.get("began"), state.get("next_url")
        if began is None:
            self.generation += 1
        else:
            async with self.database.transaction():
                self.met_before = await self.database.number_seen(self.generation)
        if not state.get("pages_read"):
            for _ in range(_PASSES):
                began, total = await self._read_pages(began, next_url)
                next_url = None
                async with self.database.transaction():
                    met = await self.database.number_seen(self.generation)
                if met + self.skipped >= total:
                    break
        await self._look_up_the_others()
        async with self.database.transaction():
            await self.database.save_state(watermark=began, began=None, next_url=None, pages_read=None)
        return began or ""

    async def _read_pages(self, began: str | None, next_url: str | None) -> tuple[str | None, int]:
        """Read the pages after `next_url`, or all; return the start of the full read and the number of contacts."""
        total, resuming = 0, next_url is not None
        session = self.cc._session  # noqa: SLF001  # the mirror is a part of the library
        filters = {"start": next_url} if next_url else {"status": "all", "include": _INCLUDE}
        try:
            async with contact_stream_as(_CONTACTS, session, filters) as contacts:
                async for page in contacts.pages():
                    resuming = False
                    began = began or server_time(page.headers).isoformat()
                    total = page.total or total
                    await self._store(
                        page.items,
                        generation=self.generation,
                        began=began,
                        next_url=page.next_url,
                        pages_read=None if page.next_url else 1,
                    )
                    self.read += len(page.items)
                    self._report(full=True, contacts=self.met_before + self.read, total=total)
        except (BadRequestError, NotFoundError, PaginationError):
            if not resuming:
                raise
            # Links are not promised to be valid for ever.
            return await self._read_pages(None, None)
        return began, total

    async def _look_up_the_others(self) -> None:
        """Look up the contacts that the full read did not meet, and remove those that the API no longer knows."""
        async with self.database.transaction():
            contact_ids = await self.database.unseen(self.generation, _LOOKED_UP)
        async with Many(contact_ids, self._look_up, concurrency=4) as outcomes:
            async for outcome in outcomes:
                try:
                    found = outcome.unwrap()
                except NotFoundError:
                    async with self.database.transaction():
                        await self.database.remove(outcome.item)
                    self.removed += 1
                else:
                    await self._store([found])

    async def _look_up(self, contact_id: str) -> RawItem[Contact]:
        path = f"/contacts/{quote_segment(contact_id)}"
        plain = (await self.cc.request("GET", path, params={"include": ",".join(_INCLUDE)})).data
        return RawItem(dumps(plain), Contact, "$")

    async def _read_changes(self, since: str) -> datetime:
        """Store the contacts that changed since a point in time, and return the start of the next period."""
        session = self.cc._session  # noqa: SLF001  # the mirror is a part of the library
        stream, batch = partial(contact_stream_as, _CONTACTS, session), list[RawItem[Contact]]()
        changes = ChangesAs(
            stream, lambda found: found.decode().value, since, until=None, include=_INCLUDE, sweep_deleted=None
        )
        async for found in changes:
            batch.append(found)
            if len(batch) == _BATCH:
                await self._store(batch)
                self._count_changes(batch)
        await self._store(batch, watermark=changes.watermark.isoformat())
        self._count_changes(batch)
        return changes.watermark

    def _count_changes(self, batch: list[RawItem[Contact]]) -> None:
        self.changed += len(batch)
        batch.clear()
        self._report(full=False, contacts=self.changed)

    async def _store(self, found: list[RawItem[Contact]], **state: str | int | None) -> None:
        """Store contacts, and with them, in one transaction, how far the synchronization is."""
        async with self.database.transaction():
            skipped, problems = await self.database.write_contacts(found, self.generation)
            if state:
                await self.database.save_state(**state)
        self.skipped += skipped
        log_problems(problems, strict=False)

    async def _read_definitions(self) -> tuple[int, int, int]:
        """Replace the lists, tags and custom fields, and return how many there are of each."""
        of_lists = {"status": "all", "limit": 1_000}
        rows = {
            tables.lists: [
                list_row(decode(plain, ContactList).value, dumps(plain).decode())
                for channel in ("email", "sms")
                async for plain in self._all("/contact_lists", "lists", {**of_lists, "channel_type": channel})
            ],
            tables.tags: [
                tag_row(decode(plain, Tag).value, dumps(plain).decode())
                async for plain in self._all("/contact_tags", "tags", {"limit": 500})
            ],
            tables.custom_fields: [
                custom_field_row(decode(plain, CustomFieldDefinition).value, dumps(plain).decode())
                async for plain in self._all("/contact_custom_fields", "custom_fields", {"limit": 100})
            ],
        }
        async with self.database.transaction():
            lists, tags, fields = [await self.database.replace_all(table, each) for table, each in rows.items()]
        return lists, tags, fields

    async def _all(self, path: str, items: str, params: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        async with self.cc.pages(path, items=items, params=params) as pages:
            async for plain in pages:
                yield plain

    def _report(self, *, full: bool, contacts: int, total: int | None = None) -> None:
        if self.on_progress is not None:
            self.on_progress(SyncProgress(full=full, contacts=contacts, total=total or None))
