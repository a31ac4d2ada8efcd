"""Copying an account into a SQLite database at the API's own limit: the share of a processor that it takes.

The sandbox, which enforces 4 requests a second, and the mirror are processes of their own; the contacts have every
sub-resource. The peak memory is that of 25,000 contacts at that pace and of four times as many as fast as they come.
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from cc_async import ConstantContact, RateLimiter
from cc_async.mirror import Mirror

from .ceiling import serving
from .rounds import Figures, child, peak_memory, table

CONTACTS = 25_000


async def copy(base_url: str, token: str, database: str, rate: str) -> Figures:
    """Copy everything, and return what it took."""
    limiter = RateLimiter(int(rate), daily=None)
    async with ConstantContact(token, base_url=base_url, rate_limiter=limiter) as cc, Mirror(database) as mirror:
        began, processor = time.perf_counter(), time.process_time()
        report = await mirror.sync(cc)
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
    return {
        "contacts": report.contacts,
        "seconds": seconds,
        "processor seconds": processor,
        "share of a processor": processor / seconds,
        "peak MiB": peak_memory(),
    }


def measure(contacts: int, rate: int, limit: int | None) -> Figures:
    """Copy that many contacts in a process of its own."""
    with serving(contacts=contacts, rate=limit, daily=None) as server, tempfile.TemporaryDirectory() as folder:
        given = [server.base_url, server.token, str(Path(folder, "contacts.db")), str(rate)]
        found = child("-m", __spec__.name, "--copy", *given)
    if found["contacts"] != contacts:
        raise AssertionError(f"{found['contacts']} of {contacts} contacts came")
    return found


def main(*, quick: bool = False) -> Figures:
    """Measure, print the table and return the figures."""
    contacts = CONTACTS // 5 if quick else CONTACTS
    found = {"at the limit": measure(contacts, 4, 4), "four times as many": measure(4 * contacts, 1_000, None)}
    names = ["contacts", "seconds", "processor seconds", "share of a processor", "peak MiB"]
    rows = ([what, *(f"{run[name]:,.2f}".removesuffix(".00") for name in names)] for what, run in found.items())
    table("A copy in SQLite", ["", *names], rows)
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["--copy"]:
        print(json.dumps(asyncio.run(copy(*sys.argv[2:6]))))
    else:
        main()
