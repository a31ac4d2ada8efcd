"""How fast streams are under the limit, what they waste, and what callers beside them feel; in virtual time."""

import asyncio
import random
import statistics

import pytest
from support.paged_server import Book, MemoryApi
from support.virtual_time import SlidingWindow, in_virtual_time

from cc_async import RateLimiter
from cc_async.limits.protocol import Turn


def _api(pages: int, latency: float, style: str = "page numbers") -> tuple[MemoryApi, Book]:
    chance = random.Random(1)
    book = Book(sizes=[2] * pages, style=style, totals={1: 2 * pages})
    api = MemoryApi.of(
        book,
        latency=lambda: latency + chance.uniform(-0.05, 0.05),
        limiter=RateLimiter(daily=None),
        limit=SlidingWindow(4),
    )
    return api, book


@pytest.mark.parametrize(("pages", "latency", "factor"), [(48, 1.0, 1.2), (400, 2.5, 1.12), (400, 0.3, 1.12)])
@in_virtual_time
async def test_a_stream_runs_at_the_ceiling_of_the_limit(pages: int, latency: float, factor: float) -> None:
    api, book = _api(pages, latency)
    assert await api.pager(size=2).collect() == book.items
    assert asyncio.get_running_loop().time() <= factor * (pages / 4 + latency)
    assert len(api.sent) - pages + api.refused <= min(2, pages // 100 + 1)


@in_virtual_time
async def test_one_page_at_a_time_takes_a_round_trip_a_page() -> None:
    api, book = _api(48, 1.0)
    assert await api.pager(read_ahead=0).collect() == book.items
    assert asyncio.get_running_loop().time() >= 47


@in_virtual_time
async def test_with_opaque_cursors_and_a_consumer_as_slow_as_the_server_half_the_time_is_saved() -> None:
    took = []
    for read_ahead in (12, 0):
        api, _ = _api(40, 1.0, "opaque")
        began = asyncio.get_running_loop().time()
        async for _page in api.pager(read_ahead=read_ahead).pages():
            await asyncio.sleep(1.0)
        took.append(asyncio.get_running_loop().time() - began)
    assert took[0] <= 0.55 * took[1]


@in_virtual_time
async def test_a_caller_beside_streams_waits_hardly_longer_than_alone() -> None:
    """Three greedy streams have their requests waiting at the limiter whenever the caller comes."""
    api, _ = _api(100_000, 1.0)
    chance, waits = random.Random(2), []

    async def read() -> None:
        async for _page in api.pager(size=2).pages():
            pass

    streams = [asyncio.ensure_future(read()) for _ in range(3)]
    await asyncio.sleep(20)
    assert api.limiter is not None
    for _ in range(100):
        await asyncio.sleep(chance.uniform(0.5, 3.0))
        began = asyncio.get_running_loop().time()
        await api.limiter.acquire(Turn())
        waits.append(asyncio.get_running_loop().time() - began)
    assert statistics.median(waits) <= 0.3
    assert max(waits) <= 1.5
    for stream in streams:
        stream.cancel()
    await asyncio.gather(*streams, return_exceptions=True)


@in_virtual_time
async def test_refusals_by_the_server_slow_a_stream_down_and_cost_no_page() -> None:
    api, book = _api(60, 1.0)
    api.limit = SlidingWindow(3)
    assert await api.pager(size=2).collect() == book.items
    assert api.refused


@in_virtual_time
async def test_streams_side_by_side_share_the_limit_evenly() -> None:
    apis = [_api(60, 1.0) for _ in range(3)]
    for api, _ in apis:
        api.limiter, api.limit = apis[0][0].limiter, apis[0][0].limit
    ends: list[float] = []

    async def read(api: MemoryApi, book: Book) -> None:
        assert await api.pager(size=2).collect() == book.items
        ends.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(read(api, book) for api, book in apis))
    assert ends[-1] <= 1.12 * (180 / 4 + 1)
    assert ends[-1] - ends[0] <= 5
