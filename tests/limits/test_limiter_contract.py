"""The contract of limiters, kept by the local one and by the one on Redis, and broken by others."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import pytest
from support.redis_server import RedisServer

from cc_async import RateLimiter
from cc_async.limits.protocol import Limiter, Turn
from cc_async.testing import limiter
from cc_async.testing.limiter import CHECKS, MakeLimiter

redis_asyncio = pytest.importorskip("redis.asyncio", reason="the extra redis is not installed")
Check = Callable[[MakeLimiter], Awaitable[None]]


@pytest.mark.parametrize("check", CHECKS)
class TestContract:
    async def test_is_kept_in_one_process(self, check: Check) -> None:
        await check(RateLimiter)

    async def test_is_kept_on_redis(self, check: Check, server: RedisServer) -> None:
        from cc_async.redis import RedisRateLimiter  # noqa: PLC0415  # after the skip

        made: list[RedisRateLimiter] = []
        keys = count()

        def make(**limit: Any) -> Limiter:
            made.append(RedisRateLimiter(redis, f"limit {next(keys)}", margin=0.04, **limit))
            return made[-1]

        async with redis_asyncio.from_url(server.url, decode_responses=check in CHECKS[::2]) as redis:
            await redis.flushall()
            try:
                await check(make)
            finally:
                for one in made:
                    await one.aclose()


class Unlimited(RateLimiter):
    def __init__(self, *, rate: int, per: float, daily: int | None) -> None:
        super().__init__(rate * 2, per, daily)


class Unfair(RateLimiter):
    async def acquire(self, turn: Turn) -> None:
        await super().acquire(Turn(stream=not turn.stream))


class Tireless(RateLimiter):
    async def throttled(self, retry_after: float | None = None) -> None:  # noqa: ARG002  # it does not care
        await asyncio.sleep(0)

    async def quota_exceeded(self) -> None:
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("make", "check"),
    [
        (Unlimited, limiter.check_rate_in_any_window),
        (Unfair, limiter.check_calls_overtake_streams),
        (Tireless, limiter.check_refusal_pauses_all),
        (Tireless, limiter.check_exhausted_quota),
    ],
)
async def test_a_limiter_that_breaks_the_contract_is_found_out(make: MakeLimiter, check: Check) -> None:
    with pytest.raises(AssertionError):
        await check(make)
