"""One limit for many processes, on a real Redis server."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any
from unittest.mock import AsyncMock

import pytest
from support.redis_server import RedisServer
from support.shared_limiters import MARGIN, PER, WINDOW, RedisRateLimiter, Sent, aioredis, limiters

from cc_async.errors import InvalidRequestError, QuotaExceededError
from cc_async.limits.protocol import Turn

SharedState = pytest.importorskip("cc_async.redis.state").SharedState
STEP = WINDOW / 4
"""Seconds between two permits."""


def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that are sent from now on."""
    sent: list[str] = []
    run = SharedState.run

    async def counting(self: Any, op: str, *args: Any, **options: Any) -> Any:
        sent.append(op)
        return await run(self, op, *args, **options)

    monkeypatch.setattr(SharedState, "run", counting)
    return sent


async def test_several_processes_together_keep_to_the_limit_and_share_it_equally(
    server: RedisServer, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del redis
    sent, used = Sent(), commands(monkeypatch)
    async with limiters(4, server.url) as made:
        streams = [
            asyncio.create_task(sent.send_many(one, 100, str(number), stream=True)) for number, one in enumerate(made)
        ]
        await asyncio.sleep(12 * WINDOW)
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
    sent.assert_within_the_limit()
    # How near it comes to the ceiling depends on the machine: `benchmarks.redis_limiter` measures it.
    assert len(sent.times) >= 4 * 11 / 2  # of 12 windows the first one counts as used
    assert len(used) <= 2 * len(sent.times)
    shares = [sent.names.count(str(number)) for number in range(4)]
    assert max(shares) - min(shares) <= 3


async def test_calls_of_one_process_go_before_the_streams_of_others(server: RedisServer, redis: Any) -> None:
    del redis
    sent = Sent()
    async with limiters(3, server.url) as (first, second, third):
        streams = [asyncio.create_task(sent.send_many(one, 30, stream=True)) for one in (first, second)]
        await asyncio.sleep(2 * WINDOW)
        waits = [await sent.send(third) for _ in range(6)]
        assert sorted(waits)[3] <= 3 * STEP
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
    sent.assert_within_the_limit()


async def test_a_stream_gets_every_fourth_permit_beside_the_calls_of_others(server: RedisServer, redis: Any) -> None:
    del redis
    sent = Sent()
    async with limiters(2, server.url) as (first, second):
        calls = asyncio.create_task(sent.send_many(first, 36, "call"))
        await sent.send_many(second, 6, "stream", stream=True)
        await calls
    assert sent.names[-6:].count("stream") <= 3
    sent.assert_within_the_limit()


async def test_one_waiter_of_a_process_is_not_starved_by_a_thousand_of_another(server: RedisServer, redis: Any) -> None:
    del redis
    async with limiters(2, server.url) as (first, second):
        crowd = asyncio.create_task(Sent().send_many(first, 1_000))
        await asyncio.sleep(2 * WINDOW)
        waits = [await Sent().send(second) for _ in range(4)]
        crowd.cancel()
        await asyncio.gather(crowd, return_exceptions=True)
    assert max(waits) <= 2 * WINDOW


async def test_who_waits_in_a_process_is_served_in_the_order_of_arrival(server: RedisServer, redis: Any) -> None:
    del redis
    sent = Sent()
    async with limiters(1, server.url) as (limiter,):
        await asyncio.gather(*(sent.send(limiter, str(number)) for number in range(12)))
    assert sent.names == [str(number) for number in range(12)]


async def test_the_permit_of_a_cancelled_waiter_goes_to_the_next_or_back(server: RedisServer, redis: Any) -> None:
    del redis
    async with limiters(2, server.url, daily=100) as (first, second):
        await first.acquire(Turn())
        for steps in range(10):
            tasks = [asyncio.create_task(first.acquire(Turn(stream=number % 2 == 0))) for number in range(4)]
            await asyncio.sleep(0.002 * steps)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        used = sum(not task.cancelled() for task in tasks)
        await asyncio.sleep(2 * WINDOW)
        began = time.monotonic()
        await second.acquire(Turn())
        assert time.monotonic() - began < PER
        assert 100 - 2 - used - 40 <= second.remaining_today <= 98


async def test_a_process_that_dies_costs_the_others_one_permit(server: RedisServer, redis: Any) -> None:
    del redis
    sent = Sent()
    async with limiters(2, server.url) as (dead, alive):
        streams = [asyncio.create_task(sent.send_many(one, 60, stream=True)) for one in (dead, alive)]
        await asyncio.sleep(3 * WINDOW)
        dead._lines["s"].task.cancel()  # what a process does that is gone: it asks no more
        before = len(sent.times)
        await asyncio.sleep(5 * WINDOW)
        assert len(sent.times) - before >= 5 * 4 * 0.96 - 3
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
    sent.assert_within_the_limit()


async def test_a_pause_and_an_exhausted_quota_are_known_to_all(server: RedisServer, redis: Any) -> None:
    del redis
    async with limiters(2, server.url) as (first, second):
        await asyncio.gather(first.acquire(Turn()), second.acquire(Turn()))
        await first.throttled(3 * WINDOW)
        assert await Sent().send(second) >= 3 * WINDOW - MARGIN
        await first.quota_exceeded()
        for limiter in (second, first):
            with pytest.raises(QuotaExceededError) as caught:
                await limiter.acquire(Turn())
            assert caught.value.resets_at is not None
            assert limiter.remaining_today == 0
            assert limiter.resets_at == caught.value.resets_at


async def test_simultaneous_refusals_are_one_pause_and_later_ones_a_longer_one(server: RedisServer, redis: Any) -> None:
    del redis
    async with limiters(2, server.url) as made:
        await asyncio.gather(*(one.acquire(Turn()) for one in made))
        await asyncio.gather(*(one.throttled() for one in made))
        assert PER <= await Sent().send(made[0]) <= WINDOW * 2
        await made[0].throttled()
        assert await Sent().send(made[1]) >= PER * 2


async def test_the_day_is_counted_once(server: RedisServer, redis: Any) -> None:
    del redis
    async with limiters(2, server.url, daily=10) as made:
        assert made[0].remaining_today is None
        outcomes = await asyncio.gather(
            *(made[number % 2].acquire(Turn()) for number in range(14)), return_exceptions=True
        )
        assert outcomes.count(None) == 10
        assert sum(isinstance(outcome, QuotaExceededError) for outcome in outcomes) == 4
        assert [one.remaining_today for one in made] == [0, 0]
        midnight = made[0].resets_at
        assert 0 < (midnight - datetime.now(UTC)).total_seconds() <= 86_400
        assert (midnight.hour, midnight.minute, midnight.second) == (0, 0, 0)


class TestEventLoops:
    def test_may_follow_each_other(self, server: RedisServer) -> None:
        client = aioredis.from_url(server.url)
        limiter = RedisRateLimiter(client, "loops", per=PER, daily=1_000)

        async def use() -> None:
            async with client:
                waiting = [asyncio.create_task(limiter.acquire(Turn())) for _ in range(20)]
                await asyncio.wait_for(waiting[0], 10)
                for one in waiting:
                    one.cancel()
                await asyncio.wait(waiting)
                await asyncio.sleep(0.1)  # until it has given up its place

        for _ in range(3):
            asyncio.run(use())
        assert limiter.remaining_today is not None
        assert limiter.remaining_today <= 1_000 - 3

    def test_may_not_use_it_at_once(self, server: RedisServer) -> None:
        client = aioredis.from_url(server.url)
        limiter = RedisRateLimiter(client, "loops", per=PER)

        async def use() -> None:
            async with client, limiter:
                await limiter.acquire(Turn())
                with pytest.raises(InvalidRequestError, match="one event loop"):
                    await asyncio.to_thread(asyncio.run, limiter.acquire(Turn()))

        asyncio.run(use())


async def test_a_forked_process_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    client = AsyncMock()
    client.execute_command.side_effect = OSError
    state = SharedState(client, "limit", rate=4, per=PER, margin=MARGIN, daily=None, timeout=1)
    for pid in (1, 2):
        monkeypatch.setattr("os.getpid", lambda pid=pid: pid)
        with pytest.raises(OSError):
            await state.run("ask", "c")
    (first, _), (second, _) = client.execute_command.call_args_list
    assert [one == other for one, other in zip(first, second, strict=True)][:7] == [True] * 5 + [False, True]
