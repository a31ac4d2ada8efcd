"""Our client, its limit lifted as far as a limiter can be."""

import asyncio

from cc_async import ConstantContact, Contact, RateLimiter
from cc_async.codec.decode import PageShape, decode_items, read_page

from . import INCLUDE

_SHAPE = PageShape("contacts", "contacts_count")


def client(base_url: str) -> ConstantContact:
    return ConstantContact("token", base_url=base_url, rate_limiter=RateLimiter(1_000_000, daily=None, margin=0.0))


def stream(base_url: str) -> int:
    return asyncio.run(_stream(base_url))


def decode(body: bytes) -> list[Contact]:
    """As the stream does: the frame first, then the contacts in slices."""
    return asyncio.run(decode_items(read_page(body, _SHAPE).items, Contact, "contacts")).value


async def _stream(base_url: str) -> int:
    count = 0
    async with client(base_url) as cc:
        async for _ in cc.contacts.list(include=INCLUDE):
            count += 1
    return count
