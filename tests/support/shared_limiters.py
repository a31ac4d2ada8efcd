"""Limiters of several processes on one Redis server."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from cc_async.limits.protocol import Turn

aioredis = pytest.importorskip("redis.asyncio", reason="the extra redis is not installed")
RedisRateLimiter = pytest.importorskip("cc_async.redis").RedisRateLimiter
PER, MARGIN = 0.2, 0.04
WINDOW = PER + MARGIN


@asynccontextmanager
async def limiters(number: int, url: str, **options: Any) -> AsyncIterator[list[Any]]:
    """As many as there were processes, each with connections of its own."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(number):
            client = await stack.enter_async_context(aioredis.from_url(url))
            limiter = RedisRateLimiter(client, "limit", **{"per": PER, "margin": MARGIN, "daily": None} | options)
            made.append(await stack.enter_async_context(limiter))
        yield made


class Sent:
    """Remembers who was permitted to send, and when."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.names: list[str] = []

    async def send(self, limiter: Any, name: str = "", *, stream: bool = False) -> float:
        began = time.monotonic()
        await limiter.acquire(Turn(stream=stream))
        self.times.append(time.monotonic())
        self.names.append(name)
        return self.times[-1] - began

    async def send_many(self, limiter: Any, number: int, name: str = "", *, stream: bool = False) -> None:
        await asyncio.gather(*(self.send(limiter, name, stream=stream) for _ in range(number)))

    def assert_within_the_limit(self, rate: int = 4, per: float = PER) -> None:
        times = sorted(self.times)
        assert all(later - sooner >= per for sooner, later in zip(times, times[rate:], strict=False))
