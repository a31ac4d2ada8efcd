"""How many requests `contacts.changes` costs where nothing changed and 200,000 contacts are deleted.

Against sandboxes that do and that do not move `updated_at` when they delete a contact: `python -m benchmarks.changes`.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from cc_async import ConstantContact, RateLimiter
from cc_async.sandbox import Sandbox

from .rounds import Figures, table

DELETED = 200_000
NOW = datetime(2025, 6, 19, 12, tzinfo=UTC)  # a Thursday
PERIODS = {"same week": timedelta(hours=1), "new week": timedelta(days=7)}


def main(*, quick: bool = False) -> Figures:
    deleted = DELETED // 10 if quick else DELETED
    figures: Figures = {
        name: asyncio.run(_requests(deleted, moves=moves))
        for name, moves in (("moves updated_at", True), ("does not", False))
    }
    table(
        f"Requests of one call, {deleted:,} deleted contacts, no change",
        ["a deletion", *PERIODS],
        [[name, *(str(found[period]) for period in PERIODS)] for name, found in figures.items()],
    )
    return figures


async def _requests(deleted: int, *, moves: bool) -> Figures:
    async with Sandbox(rate=None, daily=None, clock=NOW.timestamp, token_lifetime=1e9) as box:
        box.store.table.add_many(_deleted_contacts(deleted, moves=moves))
        limiter = RateLimiter(rate=10_000, daily=None)
        async with ConstantContact(box.access_token, base_url=box.base_url, rate_limiter=limiter) as cc:
            return {period: await _count(cc, box, NOW - length) for period, length in PERIODS.items()}


async def _count(cc: ConstantContact, box: Sandbox, since: datetime) -> int:
    before = len(box.requests)
    found = [contact async for contact in cc.contacts.changes(since)]
    if found:
        raise RuntimeError(f"{len(found)} contacts were returned, though nothing changed.")
    return len(box.requests) - before


def _deleted_contacts(number: int, *, moves: bool) -> Iterator[dict[str, Any]]:
    """Contacts that were created and deleted one after the other, a month apart, and long ago."""
    stamp = partial(datetime.isoformat, timespec="seconds")
    for row in range(number):
        created = datetime(2022, 1, 1, tzinfo=UTC) + timedelta(minutes=5 * row)
        deleted = created + timedelta(days=30)
        yield {
            "contact_id": f"{row:08x}-0000-4000-8000-000000000000",
            "email_address": {"address": f"contact.{row}@example.com", "permission_to_send": "implicit"},
            "created_at": stamp(created),
            "updated_at": stamp(deleted if moves else created),
            "deleted_at": f"{deleted:%Y-%m-%d}",
        }


if __name__ == "__main__":
    main()
