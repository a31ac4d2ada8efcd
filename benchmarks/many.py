"""Upserting many: the share of the limit's ceiling that `create_or_update_many` reaches with its default options.

The limit is enforced by the sandbox, and what it refuses is counted. To save time the rate is `--scale` times the real
one and the latency as many times lower, so that the number of calls under way is the real one; `--scale 1` takes the
real time. The first second is left out, because from idle the limit allows a burst that is no lasting speed.
"""

import argparse
import asyncio
import logging

from rounds import Figures, table

from cc_async import ConstantContact, CreateOrUpdateContactRequest, RateLimiter
from cc_async.sandbox import Sandbox

RATE = 4
LATENCIES = (0.0, 0.3, 1.0, 2.5)
SECONDS = 12


def main(*, quick: bool = False, scale: int = 10) -> Figures:
    logging.getLogger("cc_async").setLevel(logging.ERROR)
    latencies = (0.3,) if quick else LATENCIES
    figures: Figures = {"rate": RATE * scale, "scale": scale}
    rows = []
    for latency in latencies:
        row = [f"{latency * 1e3:.0f} ms"]
        for background in (False, True):
            share, refused = asyncio.run(upsert(RATE * scale, latency / scale, background=background))
            figures[f"share_{latency * 1e3:.0f}_ms" + "_background" * background] = share
            figures["refused"] = figures.get("refused", 0) + refused
            row += [f"{share:.1%}", str(refused)]
        rows.append(row)
    head = ["latency", "of the ceiling", "refused", "in the background", "refused"]
    table("create_or_update_many with its default options", head, rows)
    return figures


async def upsert(rate: int, latency: float, *, background: bool) -> tuple[float, int]:
    """The share of `rate` at which upserts are answered once the first second's are, and how many were refused."""
    loop = asyncio.get_running_loop()
    async with (
        Sandbox(rate=rate, daily=None, latency=latency) as box,
        ConstantContact(box.access_token, base_url=box.base_url, rate_limiter=RateLimiter(rate=rate, daily=None)) as cc,
    ):
        requests = (
            CreateOrUpdateContactRequest(email_address=f"n{number}@example.com", list_memberships=[box.store.lists[0]])
            for number in range(SECONDS * rate // 2 + rate)
        )
        answered = []
        async for outcome in cc.contacts.create_or_update_many(requests, background=background):
            outcome.unwrap()
            answered.append(loop.time())
        steady = answered[rate:]
        return (len(steady) - 1) / (steady[-1] - steady[0]) / rate, box.throttled


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="300 ms only")
    parser.add_argument("--scale", type=int, default=10, help="how many times faster than real; 1 is real")
    given = parser.parse_args()
    main(quick=given.quick, scale=given.scale)
