"""How near a stream comes to the limit's ceiling, before and after a client knows that its guessed links are right.

In virtual time, with a simulated server and the real limiter: 48 pages at 1 s of latency, ideally 13 s. The margin of
the limiter makes that 13.2 s at best. A first stream has no more than one guess in flight until its second page shows
that it was right, which leaves five permits unused: 1.25 s.
"""

import asyncio
import random

import attrs

from cc_async import RateLimiter
from cc_async.streams.cursor import Trust
from tests.support.paged_server import Book, MemoryApi
from tests.support.virtual_time import SlidingWindow, run

from .rounds import Figures, table

PAGES, LATENCY, RATE = 48, 1.0, 4
JITTER = 0.05  # seconds, either way
SEEDS = 5


def main() -> Figures:
    ideal = PAGES / RATE + LATENCY
    found = [run(_twice(seed)) for seed in range(SEEDS)]
    figures: Figures = {
        name: sum(seconds) / SEEDS / ideal
        for name, seconds in zip(("first", "second"), zip(*found, strict=True), strict=True)
    }
    table(
        f"{PAGES} pages at {LATENCY:g} s of latency, of the ideal {ideal:g} s",
        ["stream", "x ideal"],
        [[name, f"{figure:.3f}"] for name, figure in figures.items()],
    )
    return figures


async def _twice(seed: int) -> tuple[float, float]:
    trust = Trust()
    return await _read(trust, seed), await _read(trust, seed)


async def _read(trust: Trust, seed: int) -> float:
    chance = random.Random(seed)  # noqa: S311  # the same figures everywhere
    book = Book(sizes=[2] * PAGES, totals={1: 2 * PAGES})
    api = MemoryApi.of(
        book,
        latency=lambda: LATENCY + chance.uniform(-JITTER, JITTER),
        limiter=RateLimiter(rate=RATE, daily=None),
        limit=SlidingWindow(RATE),
    )
    pager = api.pager(size=2)
    pager._source = attrs.evolve(pager._source, trust=trust, request="/contacts")  # noqa: SLF001  # as a client shares it
    began = asyncio.get_running_loop().time()
    await pager.collect()
    return asyncio.get_running_loop().time() - began


if __name__ == "__main__":
    main()
