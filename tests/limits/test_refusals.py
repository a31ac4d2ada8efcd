"""What the limiter does when the server refuses a request as one too many."""

import asyncio
import logging
from itertools import pairwise

import pytest
from support.virtual_time import in_virtual_time
from support.waiting_requests import SPACE, WINDOW, Crowd, assert_idle

from cc_async.limits.local import RateLimiter
from cc_async.limits.protocol import Turn


@in_virtual_time
async def test_a_refusal_pauses_everybody_who_then_go_evenly(caplog: pytest.LogCaptureFixture) -> None:
    crowd = Crowd(RateLimiter())
    await crowd.come(*"a")
    await crowd.limiter.throttled()
    await crowd.come(*"bcdefghi")
    await crowd.done()
    assert WINDOW <= crowd.times[1] <= 1.5 * WINDOW
    spaces = [late - early for early, late in pairwise(crowd.times[1:])]
    assert all(space >= 0.9 * SPACE for space in spaces[:3])
    assert caplog.record_tuples == [("cc_async", logging.WARNING, caplog.messages[0])]
    assert "none is sent for" in caplog.text


@in_virtual_time
async def test_many_refusals_at_once_make_one_pause(caplog: pytest.LogCaptureFixture) -> None:
    crowd = Crowd(RateLimiter())
    await crowd.come(*"abcd")
    for _ in range(4):
        await crowd.limiter.throttled()
        await asyncio.sleep(0.1)
    await crowd.come("e")
    await crowd.done()
    assert crowd.times[-1] <= 1.5 * WINDOW
    assert len(caplog.records) == 1


@in_virtual_time
async def test_a_response_that_comes_late_does_not_begin_another_pause(caplog: pytest.LogCaptureFixture) -> None:
    limiter = RateLimiter()
    await limiter.acquire(Turn())
    await limiter.throttled()
    await asyncio.sleep(1.5 * WINDOW)
    await limiter.throttled()
    await limiter.acquire(Turn())
    assert asyncio.get_running_loop().time() == 1.5 * WINDOW
    assert len(caplog.records) == 1


async def refusals(limiter: RateLimiter, count: int, calm: float = 0.0) -> list[float]:
    """How long each request waited that was sent after a refusal."""
    loop, waits = asyncio.get_running_loop(), []
    await limiter.acquire(Turn())
    for _ in range(count):
        await asyncio.sleep(calm)
        await limiter.throttled()
        before = loop.time()
        await limiter.acquire(Turn())
        waits.append(loop.time() - before)
    return waits


@in_virtual_time
async def test_refusals_one_after_the_other_make_longer_pauses_up_to_a_cap() -> None:
    waits = await refusals(RateLimiter(daily=None), 6)
    for wait, windows in zip(waits, [1, 2, 4, 8, 8, 8], strict=True):
        assert windows * WINDOW <= wait <= 1.5 * windows * WINDOW


@in_virtual_time
async def test_no_two_machines_come_back_at_the_same_moment() -> None:
    assert len({(await refusals(RateLimiter(), 1))[0] for _ in range(5)}) == 5


@in_virtual_time
async def test_after_a_quiet_time_the_pause_is_short_again() -> None:
    waits = await refusals(RateLimiter(daily=None), 4, calm=3 * WINDOW)
    assert max(waits) <= 1.5 * WINDOW


@in_virtual_time
async def test_what_the_server_asks_to_wait_is_honoured_up_to_a_minute() -> None:
    limiter, loop = RateLimiter(), asyncio.get_running_loop()
    await limiter.throttled(5.0)
    await limiter.throttled(7.0)
    await limiter.throttled(-1.0)
    await limiter.acquire(Turn())
    assert loop.time() == pytest.approx(7.0, abs=0.6)
    await limiter.throttled(3_600.0)
    await limiter.acquire(Turn())
    assert 67.0 <= loop.time() <= 69.0


@in_virtual_time
async def test_refusals_widen_the_window_until_they_are_forgiven() -> None:
    limiter = RateLimiter(2, daily=None)
    await refusals(limiter, 10)
    for wait, margins in [(10.0, 4), (60.0, 2), (100.0, 1)]:
        await asyncio.sleep(wait)
        crowd = Crowd(limiter)
        await crowd.come(*"abc")
        await crowd.done()
        assert crowd.times[2] - crowd.times[0] == pytest.approx(1.0 + 0.04 * margins)


@in_virtual_time
async def test_a_refusal_may_be_reported_when_nobody_waits() -> None:
    limiter = RateLimiter()
    await limiter.throttled()
    assert_idle(limiter)
