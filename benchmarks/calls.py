"""What one call costs: `contacts.get` beside the same request written by hand over aiohttp, in the same process."""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
from yarl import URL

from .clients import INCLUDE, ours
from .rounds import Figures, child, median, table
from .server import serving

BLOCK = 100
BLOCKS = 15
ROUNDS = 5
_ID = "04fe9a-a579-43c5-bb1a-58ed29bf0a6a"


def main(*, quick: bool = False) -> Figures:
    rounds = 2 if quick else ROUNDS
    with serving(1) as origin:
        found = [child("-m", __spec__.name, "--base-url", f"{origin}/clean/v3") for _ in range(rounds)]
    figures = {key: median(found, key) for key in ("raw_us", "ours_us", "times_raw")}
    rows = [
        ["aiohttp + orjson, a dict", f"{figures['raw_us']:.0f}", "1.00"],
        ["cc_async, contacts.get", f"{figures['ours_us']:.0f}", f"{figures['times_raw']:.2f}"],
    ]
    table("One full contact, one call after the other", ["", "µs of processor time", "x raw"], rows)
    return {"calls": BLOCK * BLOCKS, "rounds": rounds, **figures}


async def _measure(base_url: str) -> Figures:
    """Alternating blocks of calls, each compared with its neighbour."""
    headers = {"Authorization": "Bearer token", "Accept": "application/json"}
    include = INCLUDE.split(",")
    async with ours.client(base_url) as cc, aiohttp.ClientSession(headers=headers) as http:

        async def raw() -> Any:
            async with http.get(URL(f"{base_url}/contacts/{_ID}?include={INCLUDE}", encoded=True)) as response:
                response.raise_for_status()
                return orjson.loads(await response.read())

        async def typed() -> Any:
            return await cc.contacts.get(_ID, include=include)

        await _block(raw)
        await _block(typed)
        pairs = [(await _block(raw), await _block(typed)) for _ in range(BLOCKS)]
    return {
        "raw_us": statistics.median(one for one, _ in pairs),
        "ours_us": statistics.median(other for _, other in pairs),
        "times_raw": statistics.median(other / one for one, other in pairs),
    }


async def _block(call: Callable[[], Awaitable[Any]]) -> float:
    before = time.process_time()
    for _ in range(BLOCK):
        await call()
    return (time.process_time() - before) / BLOCK * 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--base-url", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.base_url:
        print(json.dumps(asyncio.run(_measure(given.base_url))))
    else:
        main(quick=given.quick)
