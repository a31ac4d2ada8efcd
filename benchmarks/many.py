"""Upserting many: the share of the limit's ceiling that `create_or_update_many` reaches with its default options.

A server that enforces the limit is simulated in virtual time, so that minutes take seconds and a busy machine changes
no figure; `--real` takes the sandbox, sockets and the real time instead. The client is the real one with its defaults.
What counts is how long each four responses take after the first four: from idle the limit permits a burst, which cannot
be sustained.
"""

import argparse
import asyncio
import logging
import random
import statistics
from collections.abc import AsyncIterator
from typing import Any, Self, cast

import aiohttp

from cc_async import ConstantContact, CreateOrUpdateContactRequest
from cc_async.sandbox import Sandbox
from tests.support.virtual_time import SlidingWindow, run

from .rounds import Figures, table

RATE = 4
LATENCIES = (0.0, 0.3, 1.0, 2.5)
JITTER = 0.01  # seconds, either way
REQUESTS = 400


def main(*, quick: bool = False, real: bool = False) -> Figures:
    figures: Figures = {"requests": REQUESTS, "refused": 0}
    rows = []
    for latency in (0.3,) if quick else LATENCIES:
        row = [f"{latency * 1e3:.0f} ms"]
        for background in (False, True):
            share, refused = asyncio.run(really(latency, background)) if real else run(virtually(latency, background))
            figures[f"share_{latency * 1e3:.0f}_ms" + "_background" * background] = share
            figures["refused"] += refused
            row += [f"{share:.1%}", str(refused)]
        rows.append(row)
    head = ["latency", "of the ceiling", "refused", "in the background", "refused"]
    table("create_or_update_many with its default options", head, rows)
    return figures


class Server:
    """Stands for aiohttp's session: every upsert is answered, unless it comes too soon."""

    closed = False

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.window = SlidingWindow(RATE)
        self.random = random.Random(1)  # noqa: S311  # the same figures everywhere
        self.refused = 0

    async def request(self, *_: Any, **__: Any) -> "Response":
        """Respond after the latency, and count."""
        await asyncio.sleep(self.latency / 2 + JITTER + self.random.uniform(-JITTER, JITTER))
        accepted = self.window.accepts(asyncio.get_running_loop().time())
        self.refused += not accepted
        await asyncio.sleep(self.latency / 2)
        return Response(200 if accepted else 429)


class Response:
    """What the client looks at of a response."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.headers: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """There is no connection to give back."""

    @property
    def content(self) -> Self:
        """The stream of the body."""
        return self

    async def iter_any(self) -> AsyncIterator[bytes]:
        """The body of a refusal."""
        yield b'{"error_key": "throttled", "error_message": "Too Many Requests"}'

    async def read(self) -> bytes:
        """The body of a success."""
        return b'{"contact_id": "c1", "action": "updated"}'


async def virtually(latency: float, background: bool) -> tuple[float, int]:
    """The share of four responses a second that upserts keep up, and how many requests were refused."""
    random.seed(1)
    server = Server(latency)
    async with ConstantContact("token", client_session=cast(aiohttp.ClientSession, server)) as cc:
        return await measure(cc, "any list", background), server.refused


async def really(latency: float, background: bool) -> tuple[float, int]:
    """The same over sockets, in real time."""
    async with (
        Sandbox(rate=RATE, daily=None, latency=latency, arrival_jitter=JITTER) as box,
        ConstantContact(box.access_token, base_url=box.base_url) as cc,
    ):
        return await measure(cc, box.store.lists[0], background), box.throttled


async def measure(cc: ConstantContact, list_id: str, background: bool) -> float:
    loop = asyncio.get_running_loop()
    requests = (
        CreateOrUpdateContactRequest(email_address=f"n{number}@example.com", list_memberships=[list_id])
        for number in range(REQUESTS)
    )
    answered = []
    async for outcome in cc.contacts.create_or_update_many(requests, background=background):
        outcome.unwrap()
        answered.append(loop.time())
    fours = [later - earlier for earlier, later in zip(answered[RATE:], answered[2 * RATE :], strict=False)]
    return 1 / statistics.mean(fours)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="300 ms only")
    parser.add_argument("--real", action="store_true", help="in real time, which takes two minutes a figure")
    given = parser.parse_args()
    logging.getLogger("cc_async").setLevel(logging.ERROR)
    main(quick=given.quick, real=given.real)
