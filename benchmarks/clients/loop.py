"""The loop that one writes by hand over aiohttp, for every way but ours and the provider's."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
from yarl import URL

from . import INCLUDE

Read = Callable[[bytes], tuple[Sequence[Any], str | None]]
"""Turns the body of a page into its contacts and the link to the next one."""


def stream(base_url: str, read: Read) -> int:
    return asyncio.run(_stream(base_url, read))


async def _stream(base_url: str, read: Read) -> int:
    count = 0
    base = URL(base_url)
    headers = {"Authorization": "Bearer token", "Accept": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as http:
        link: str | None = f"{base.path}/contacts?limit=500&include={INCLUDE}"
        while link:
            async with http.get(base.join(URL(link, encoded=True))) as response:
                response.raise_for_status()
                body = await response.read()
            contacts, link = read(body)
            for _ in contacts:
                count += 1
    return count
