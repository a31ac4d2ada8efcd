"""The day's quota: our count, the server's word, and midnight."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest
from support.virtual_time import in_virtual_time
from support.waiting_requests import NOON, WINDOW, Crowd, assert_idle, limiter_at

from cc_async.errors import QuotaExceededError
from cc_async.limits.local import RateLimiter
from cc_async.limits.protocol import Turn

MIDNIGHT = datetime(2030, 5, 18, tzinfo=UTC)


@in_virtual_time
async def test_at_the_end_of_our_count_everybody_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    limiter, _ = limiter_at(NOON, daily=5)
    crowd = Crowd(limiter)
    await crowd.come(*"abcdefgh")
    await crowd.come(*"stu", stream=True)
    assert limiter.remaining_today == 1
    await crowd.done()
    assert crowd.order == "abcde"
    assert asyncio.get_running_loop().time() == pytest.approx(WINDOW)
    assert sum(isinstance(task.exception(), QuotaExceededError) for task in crowd.tasks) == 6
    with pytest.raises(QuotaExceededError, match="2030-05-18 00:00:00") as caught:
        await limiter.acquire(Turn())
    assert caught.value.resets_at == limiter.resets_at == MIDNIGHT
    assert limiter.remaining_today == 0
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING
    assert_idle(limiter)


@in_virtual_time
async def test_the_server_is_believed_over_our_count(caplog: pytest.LogCaptureFixture) -> None:
    limiter, _ = limiter_at(NOON)
    crowd = Crowd(limiter)
    await crowd.come(*"abcdef")
    await crowd.come("s", stream=True)
    for _ in range(4):
        await limiter.quota_exceeded()
    await crowd.done()
    assert crowd.order == "abcd"
    assert asyncio.get_running_loop().time() == 0
    assert limiter.remaining_today == 0
    assert limiter.resets_at == MIDNIGHT
    with pytest.raises(QuotaExceededError):
        await limiter.acquire(Turn(stream=True))
    assert len(caplog.records) == 1


@in_virtual_time
async def test_without_a_daily_limit_only_the_server_ends_the_day() -> None:
    limiter, _ = limiter_at(NOON, daily=None)
    await limiter.acquire(Turn())
    assert limiter.remaining_today is None
    await limiter.quota_exceeded()
    with pytest.raises(QuotaExceededError):
        await limiter.acquire(Turn())


@in_virtual_time
async def test_a_new_day_frees_the_quota() -> None:
    limiter, clock = limiter_at(NOON, daily=2)
    for _ in range(2):
        await limiter.acquire(Turn())
    clock.set(MIDNIGHT - timedelta(seconds=1))
    with pytest.raises(QuotaExceededError):
        await limiter.acquire(Turn())
    clock.set(MIDNIGHT)
    await limiter.acquire(Turn())
    assert limiter.remaining_today == 1
    assert limiter.resets_at == MIDNIGHT + timedelta(days=1)


@in_virtual_time
async def test_a_new_day_frees_what_the_server_called_spent() -> None:
    limiter, clock = limiter_at(NOON)
    await limiter.quota_exceeded()
    clock.set(MIDNIGHT)
    await limiter.acquire(Turn())
    assert limiter.remaining_today == 9_999


@in_virtual_time
async def test_a_report_just_after_midnight_is_soon_put_to_the_test(caplog: pytest.LogCaptureFixture) -> None:
    limiter, clock = limiter_at(MIDNIGHT + timedelta(seconds=2))
    for _ in range(3):
        await limiter.quota_exceeded()
        clock.offset += 0.5
    assert limiter.resets_at == MIDNIGHT + timedelta(seconds=62)
    with pytest.raises(QuotaExceededError):
        await limiter.acquire(Turn())
    assert len(caplog.records) == 1
    clock.set(limiter.resets_at)
    await limiter.acquire(Turn())
    assert limiter.remaining_today == 9_999
    clock.set(MIDNIGHT + timedelta(minutes=6))
    await limiter.quota_exceeded()
    assert limiter.resets_at == MIDNIGHT + timedelta(days=1)


@in_virtual_time
async def test_a_clock_that_steps_back_frees_nothing_before_the_midnight_it_shows() -> None:
    limiter, clock = limiter_at(MIDNIGHT + timedelta(hours=1), daily=1)
    await limiter.acquire(Turn())
    for earlier in (timedelta(hours=1), timedelta(days=400)):
        clock.set(MIDNIGHT - earlier)
        with pytest.raises(QuotaExceededError):
            await limiter.acquire(Turn())
    clock.set(MIDNIGHT - timedelta(days=399))
    await limiter.acquire(Turn())


@in_virtual_time
async def test_a_clock_that_was_years_ahead_does_not_hold_the_quota_for_years() -> None:
    limiter, clock = limiter_at(NOON + timedelta(days=4_000), daily=1)
    await limiter.quota_exceeded()
    clock.set(NOON)
    with pytest.raises(QuotaExceededError):
        await limiter.acquire(Turn())
    clock.set(MIDNIGHT)
    await limiter.acquire(Turn())


@in_virtual_time
async def test_what_is_handed_back_after_midnight_was_not_of_the_new_day() -> None:
    limiter, clock = limiter_at(NOON, rate=1, daily=10)
    crowd, loop = Crowd(limiter), asyncio.get_running_loop()
    await crowd.come("a")
    granted = await crowd.come("b")

    def midnight() -> None:
        clock.set(MIDNIGHT)
        assert limiter.remaining_today == 10
        granted.cancel()

    loop.call_at(WINDOW, midnight)
    await crowd.done()
    assert limiter.remaining_today == 10


@in_virtual_time
async def test_the_quota_may_end_while_a_waiter_is_being_cancelled() -> None:
    crowd = Crowd(RateLimiter(1))
    await crowd.come("a")
    doomed = await crowd.come("b")
    doomed.cancel()
    await crowd.limiter.quota_exceeded()
    await crowd.done()
    assert doomed.cancelled()
    assert_idle(crowd.limiter)
